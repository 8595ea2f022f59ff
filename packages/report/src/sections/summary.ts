import type { AtlasReport } from "../atlas-report.ts";
import { formatCount, formatFigure, formatShare, plural } from "../format.ts";
import { type Html, markup } from "../markup.ts";

/** What was found, in words and four figures. */
export function summarySection(report: AtlasReport): Html {
  const metric = (id: string): number | null =>
    report.metrics.find((entry) => entry.id === id)?.value ?? null;
  const tiles: (readonly [string, string])[] = [
    [
      formatCount(report.density.dense),
      `of ${formatCount(report.sae.dSae)} latents are dense: they fire on more than ${formatShare(report.density.threshold)} of tokens`,
    ],
    [
      formatCount(report.antipodality.strongPairs),
      `antipodal pairs of dense latents (mutual, score above ${formatFigure(report.antipodality.strong)})`,
    ],
  ];
  const [l0, fvu] = [metric("l0"), metric("fvu")];
  if (l0 !== null) tiles.push([formatFigure(l0), "latents active on an average token (L0)"]);
  if (fvu !== null) tiles.push([formatShare(fvu), "of the variance left unexplained (FVU)"]);
  return markup`<section id="summary" aria-labelledby="summary-title">
    <h2 id="summary-title">What was found</h2>
    ${bannerOf(report)}
    <div class="tiles">
      ${tiles.map(([value, text]) => markup`<div class="tile"><b>${value}</b><span>${text}</span></div>`)}
    </div>
    <ul class="findings">
      ${findings(report).map((text) => markup`<li>${text}</li>`)}
    </ul>
  </section>`;
}

function bannerOf(report: AtlasReport): Html | null {
  const { status, reason } = report.labelling;
  if (status === "given") return null;
  const title = status === "withheld" ? "Class labels are withheld" : "Class labels are unverified";
  return markup`<div class="banner" role="note">
    <b>${title}</b>
    <p>${sentence(reason)}</p>
  </div>`;
}

/** Below this many documents, resampling them says little. */
const fewDocuments = 10;

/** With a capital and a full stop. */
function sentence(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return `${first.toUpperCase()}${rest.join("")}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** Plain sentences, each true of this result alone. */
function findings(report: AtlasReport): string[] {
  const { density, antipodality, sae, corpus, pca, nullspace } = report;
  const sentences: string[] = [];
  const dead =
    density.dead === 0
      ? "Every latent fired at least once"
      : `${formatCount(density.dead)} of ${formatCount(sae.dSae)} latents (${formatShare(density.dead / sae.dSae)}) never fired`;
  sentences.push(
    `${dead} on the ${formatCount(corpus.tokens)} unmasked tokens of ${plural(corpus.documents, "document")}.`,
  );
  if (corpus.documents < fewDocuments) {
    sentences.push(
      `With so few documents, intervals are rough and densities may be those of a few texts.`,
    );
  }
  if (density.dense > 0) {
    const share = formatShare(antipodality.strongDense / density.dense);
    const high = Math.max(antipodality.independentNull.high, antipodality.tiedNull.high);
    sentences.push(
      `${formatCount(antipodality.strongDense)} of the ${formatCount(density.dense)} dense latents (${share}) have an antipode: another latent whose encoder and decoder both point nearly the same or the opposite way (score above ${formatFigure(antipodality.strong)}). With random weights of this size a score above ${formatFigure(high)} is a one-in-a-thousand event.`,
    );
  }
  for (const entry of report.classes) {
    const verb = report.labelling.status === "withheld" ? "would pass" : "pass";
    sentences.push(
      `${formatCount(entry.dense.passed)} of ${formatCount(entry.dense.tested)} dense latents ${verb} the ${entry.name} test, against ${rate(entry.sparse)} of latents that are not dense and ${rate(entry.random)} of random directions.`,
    );
  }
  const first = pca.explained[0];
  if (first !== undefined)
    sentences.push(
      `The first principal component carries ${formatShare(first)} of the variance of the site.`,
    );
  const [last, middle] = [
    nullspace.singularValues.at(-1),
    nullspace.singularValues[Math.floor(nullspace.singularValues.length / 2)],
  ];
  if (last !== undefined && middle !== undefined && middle > 0) {
    sentences.push(
      `The weakest direction of the unembedding has ${formatFigure(last / middle)} of the median gain${last / middle > 0.1 ? ": there is no true null space to write into" : ""}.`,
    );
  }
  return sentences;
}

function rate(share: { readonly passed: number; readonly tested: number }): string {
  return share.tested === 0 ? "none tested" : formatShare(share.passed / share.tested);
}
