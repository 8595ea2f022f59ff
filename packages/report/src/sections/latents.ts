import type {
  AtlasReport,
  ReportContext,
  ReportLatent,
  ReportTokenScore,
} from "../atlas-report.ts";
import { formatCosine, formatCount, formatFigure, formatShare, plural } from "../format.ts";
import { type Html, markup, visibleToken } from "../markup.ts";

/** Contexts shown before the fold. */
const openContexts = 3;

/** Filter box and one card for each dense latent. */
export function latentsSection(report: AtlasReport): Html {
  const known = new Set(report.latents.map((latent) => latent.latent));
  const names = new Map(report.classes.map((entry) => [entry.id, entry.name]));
  const omitted =
    report.omitted === 0
      ? ""
      : ` The ${formatCount(report.omitted)} least dense of them are left out here.`;
  return markup`<section id="latents" aria-labelledby="latents-title">
    <h2 id="latents-title">${plural(report.density.dense, "dense latent")}, densest first</h2>
    <p class="soft">
      Shading shows how strongly the latent fires on each token, relative to its maximum; hover for
      the value. Promoted and suppressed tokens are those that its decoder row pushes most on the
      direct path to the output.${omitted}
    </p>
    <div class="controls" role="search" hidden>
      <label class="grow">Filter<input
          name="q"
          type="search"
          placeholder="text, document, token or #latent"
          autocomplete="off"/></label>
      <label>Class<select name="kind">
          <option value="">all</option>
          ${report.classes.map((entry) => markup`<option value="${entry.id}">${entry.name}</option>`)}
          <option value="antipodal">antipodal</option>
          <option value="none">unclassified</option>
        </select></label>
      <label>Order<select name="order">
          <option value="density">density</option>
          <option value="score">antipodality</option>
          <option value="maximum">strongest firing</option>
          <option value="latent">latent number</option>
        </select></label>
      <output name="count"></output>
    </div>
    ${report.latents.length === 0 ? markup`<p>No latent fires on more than ${formatShare(report.density.threshold)} of tokens.</p>` : null}
    <div data-latents>${report.latents.map((latent) => card(latent, report, known, names))}</div>
  </section>`;
}

function card(
  latent: ReportLatent,
  report: AtlasReport,
  known: ReadonlySet<number>,
  names: ReadonlyMap<string, string>,
): Html {
  const antipodal = latent.score > report.antipodality.strong;
  const withheld = report.labelling.status === "withheld";
  const kinds = [
    ...latent.labels,
    ...(antipodal ? ["antipodal"] : []),
    ...(latent.labels.length === 0 && !withheld ? ["none"] : []),
  ];
  return markup`<article
    class="latent"
    id="latent-${latent.latent}"
    data-latent="${latent.latent}"
    data-density="${latent.density}"
    data-score="${latent.score}"
    data-maximum="${latent.maximum}"
    data-kinds="${kinds.join(" ")}"
    aria-labelledby="latent-${latent.latent}-title">
    <header>
      <h3 id="latent-${latent.latent}-title">
        <a href="#latent-${latent.latent}">Latent ${latent.latent}</a>
      </h3>
      ${withheld ? markup`<span class="chip held">label withheld</span>` : latent.labels.map((label) => markup`<span class="chip label">${names.get(label) ?? label}</span>`)}
      ${!withheld && latent.labels.length === 0 ? markup`<span class="chip">unclassified</span>` : null}
      ${antipodal ? markup`<span class="chip">antipodal</span>` : null}
    </header>
    ${statistics(latent, report, known)}
    <div class="lens">
      ${tokenList("Promotes", latent.promoted)}${tokenList("Suppresses", latent.suppressed)}
    </div>
    ${contextList(latent)}
  </article>`;
}

function statistics(latent: ReportLatent, report: AtlasReport, known: ReadonlySet<number>): Html {
  const { pca, nullspace, alphabet } = latent.tests;
  const partner = latent.partner;
  const link =
    partner === null
      ? "none"
      : known.has(partner)
        ? markup`<a href="#latent-${partner}">latent ${partner}</a>`
        : `latent ${partner}`;
  const both =
    latent.coFiring === null || latent.coFiringExpected === null
      ? null
      : markup`<br /><small>fire together on ${formatShare(latent.coFiring)} of tokens
            (${formatShare(latent.coFiringExpected)} if independent)</small>`;
  const mark = (passes: boolean): string => (passes ? " \u2713" : "");
  return markup`<dl class="stats">
    <div>
      <dt>Density</dt>
      <dd>
        ${formatShare(latent.density)}
        <small>${formatShare(latent.low)}–${formatShare(latent.high)}</small>
        <div class="meter" aria-hidden="true">
          <i style="width:${Math.round(100 * latent.density)}%"></i>
        </div>
      </dd>
    </div>
    <div>
      <dt>Antipodality</dt>
      <dd>
        ${formatCosine(latent.score)} with
        ${link}${latent.mutual ? markup` <small>(mutual)</small>` : null}<br /><small>cosines: encoder ${formatCosine(latent.encoderCosine)}, decoder
          ${formatCosine(latent.decoderCosine)}</small>${both}
      </dd>
    </div>
    <div>
      <dt>Test statistics (✓ passes)</dt>
      <dd>
        <small>cosine to PC1 ${formatCosine(pca.cosine)}${mark(pca.passes)}<br />null-space share
          ${formatFigure(nullspace.share)} (cut
          ${formatFigure(report.nullspace.cut)})${mark(nullspace.passes)}<br />${alphabet.letter === "" ? "no letter stands out" : markup`“${alphabet.letter}” ${alphabet.side}: ${formatShare(alphabet.purity)} of ${alphabet.k} (base ${formatShare(alphabet.baseRate)})`}${mark(alphabet.passes)}</small>
      </dd>
    </div>
    <div>
      <dt>Strength when firing</dt>
      <dd>mean ${formatFigure(latent.meanWhenActive)}, maximum ${formatFigure(latent.maximum)}</dd>
    </div>
  </dl>`;
}

function tokenList(title: string, tokens: readonly ReportTokenScore[]): Html {
  return markup`<div>
    <h4>${title}</h4>
    <ul class="tokens">
      ${tokens.map((token) => markup`<li title="token ${token.id}, ${token.score.toFixed(1)} sd"><code>${visibleToken(token.text)}</code></li>`)}
    </ul>
  </div>`;
}

function contextList(latent: ReportLatent): Html | null {
  if (latent.contexts.length === 0) return null;
  const items = latent.contexts.map((context) => contextItem(context, latent.maximum));
  const [open, folded] = [items.slice(0, openContexts), items.slice(openContexts)];
  return markup`<h4>Where it fires</h4>
    <ol class="contexts">
      ${open}
    </ol>
    ${
      folded.length === 0
        ? null
        : markup`<details>
            <summary>${plural(folded.length, "more context")}, weaker firings included</summary>
            <ol class="contexts">
              ${folded}
            </ol>
          </details>`
    }`;
}

function contextItem(context: ReportContext, maximum: number): Html {
  const peak = context.activations[context.peak] ?? 0;
  const kind =
    context.kind === "top"
      ? "among the strongest"
      : `typical, near quantile ${context.quantile ?? ""}`;
  const tokens = context.texts.map((text, index) => {
    const value = context.activations[index] ?? 0;
    if (!(value > 0)) return text;
    const heat = Math.max(1, Math.min(9, Math.ceil((9 * value) / maximum)));
    const peaks = index === context.peak ? " peak" : "";
    return markup`<b class="h${heat}${peaks}" title="${formatFigure(value)}">${text}</b>`;
  });
  return markup`<li>
    <q>${tokens}</q>
    <cite>${context.document}, position ${context.position + context.peak}: ${formatFigure(peak)}, ${kind}</cite>
  </li>`;
}
