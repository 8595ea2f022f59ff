import type { AtlasReport } from "../atlas-report.ts";
import { formatCount, plural } from "../format.ts";
import { type Html, markup } from "../markup.ts";
import { type Fact, renderFacts } from "../page/frame.ts";

/** Title and the facts that identify the run. */
export function headerSection(report: AtlasReport): Html {
  const { model, site, sae, corpus } = report;
  const masked = Object.entries(corpus.masked).filter(([, count]) => count > 0);
  const facts: Fact[] = [
    [
      "Model",
      model.name,
      `${model.architecture}, ${plural(model.layers, "layer")}, width ${model.dModel}`,
    ],
    [
      "Site",
      markup`<code>${site.name}</code>`,
      site.layer === null ? "" : `after block ${site.layer} of 0\u2013${model.layers - 1}`,
    ],
    [
      "Sparse autoencoder",
      `${architectureName(sae.architecture)}${sae.k === null ? "" : `, k = ${sae.k}`}`,
      `${formatCount(sae.dSae)} latents over ${sae.dIn} inputs${sae.recipe === null ? "" : `, recipe ${sae.recipe}`}`,
    ],
    [
      "SAE identity",
      markup`<code title="${sae.identity}">${sae.identity.slice(0, 16)}</code>`,
      "hash of its configuration and weights",
    ],
    ["Text", corpus.name, `${plural(corpus.documents, "document")}, ${corpus.split} part`],
    [
      "Tokens",
      formatCount(corpus.tokens),
      masked.length === 0
        ? "none masked"
        : `masked: ${masked.map(([reason, count]) => `${formatCount(count)} ${reason}`).join(", ")}`,
    ],
    ["Made", `${report.createdAt.slice(0, 16).replace("T", " ")} UTC`, `seed ${report.seed}`],
  ];
  return markup`<header class="top wrap">
    <p class="eyebrow">Latentkit atlas</p>
    <h1>The dense latents of ${model.name} at <code>${site.name}</code></h1>
    ${renderFacts(facts)}
    ${report.command === null ? null : markup`<p class="soft">Made by <code>${report.command}</code></p>`}
  </header>`;
}

function architectureName(id: string): string {
  const names: Readonly<Record<string, string>> = { topk: "TopK", jumprelu: "JumpReLU" };
  return names[id] ?? id;
}
