import { renderFigure } from "./figures/figure.ts";
import { densityFigures, layerFigure, paretoFigures, siteName } from "./figures/suite.ts";
import { formatCount, formatFigure, formatShare, plural } from "./format.ts";
import { type Html, markup } from "./markup.ts";
import { renderFacts, renderGrid, renderPage } from "./page/frame.ts";
import type { SuiteReport } from "./suite-report.ts";

/**
 * A suite's page, as one self-contained HTML file, in the manner of the Gemma Scope report (arXiv 2408.05147, section 4): sparsity against
 * fidelity for each site, delta loss by layer, how often latents fire, and the table of all SAEs. No network requests and no script.
 */
export function renderSuite(report: SuiteReport): string {
  const layers = layerFigure(report);
  const densities = densityFigures(report);
  return renderPage({
    title: `Suite ${report.name}`,
    header: header(report),
    contents: [
      ["pareto", "Sparsity and fidelity"],
      ...(layers === null ? [] : [["layers", "Layers"] as const]),
      ["densities", "Densities"],
      ["table", "All SAEs"],
    ],
    main: [
      section("pareto", "Sparsity against fidelity", paretoFigures(report).map(renderFigure)),
      layers === null ? null : section("layers", "Layers", [renderFigure(layers)]),
      section("densities", "How often latents fire", densities.map(renderFigure)),
      tableSection(report),
    ],
    footer: ".",
  });
}

function section(id: string, title: string, figures: readonly Html[]): Html {
  return markup`<section id="${id}" aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    <div class="figures">${figures}</div>
  </section>`;
}

function header({ name, model, contextSize, planned, rows }: SuiteReport): Html {
  const sites = [...new Set(rows.map(({ site }) => siteName(site)))];
  const layers = new Set(rows.map(({ layer }) => layer)).size;
  const [first] = rows;
  return markup`<header class="top wrap">
    <p class="eyebrow">Latentkit suite</p>
    <h1>${name}: ${plural(rows.length, "SAE")} of ${model.name}</h1>
    ${renderFacts([
      ["Model", model.name, model.architecture],
      ["SAEs", `${formatCount(rows.length)} of ${formatCount(planned)}`, ""],
      ["Sites", sites.join(", ") || "\u2013", plural(layers, "layer")],
      [
        "Held-out tokens",
        first === undefined ? "\u2013" : formatCount(first.tokens),
        `contexts of ${formatCount(contextSize)} tokens`,
      ],
    ])}
    ${
      rows.length < planned
        ? markup`<div class="banner" role="note">
            <b>Not all SAEs are here</b>
            <p>${formatCount(planned - rows.length)} of ${formatCount(planned)} are missing: they are not done, or were given up.</p>
          </div>`
        : null
    }
  </header>`;
}

function tableSection({ rows }: SuiteReport): Html {
  return markup`<section id="table" aria-labelledby="table-title">
    <h2 id="table-title">All SAEs</h2>
    ${renderGrid(
      [
        { name: "folder" },
        { name: "site" },
        { name: "layer", number: true },
        { name: "architecture" },
        { name: "latents", number: true },
        { name: "lambda or k", number: true },
        { name: "L0", number: true },
        { name: "FVU", number: true },
        { name: "delta loss", number: true },
        { name: "95% interval", number: true },
        { name: "recovered", number: true },
        { name: "dead", number: true },
        { name: "dense", number: true },
      ],
      rows.map((row) => [
        markup`<code>${row.path}</code>`,
        siteName(row.site),
        String(row.layer),
        row.architecture,
        formatCount(row.width),
        String(row.k ?? row.sparsity ?? "\u2013"),
        formatFigure(row.l0),
        formatFigure(row.fvu),
        formatFigure(row.deltaLoss),
        row.deltaLossInterval === null
          ? "\u2013"
          : row.deltaLossInterval.map(formatFigure).join(" \u2013 "),
        row.lossRecovered === null ? "\u2013" : formatShare(row.lossRecovered),
        formatShare(row.dead),
        formatShare(row.dense),
      ]),
    )}
    <p class="soft">
      Measured on held-out text, attention sinks masked. Recovered is against zero ablation; dead latents never
      fired, dense ones on more than a tenth of the tokens. Intervals are from resampling documents.
    </p>
  </section>`;
}
