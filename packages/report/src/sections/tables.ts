import type { AtlasReport } from "../atlas-report.ts";
import { formatCount, formatFigure, formatShare } from "../format.ts";
import { type Html, markup } from "../markup.ts";

/** Metrics of the SAE with their intervals. */
export function metricsSection(report: AtlasReport): Html {
  return markup`<section id="metrics" aria-labelledby="metrics-title">
    <h2 id="metrics-title">How good the autoencoder is</h2>
    <p class="soft">
      ${report.corpus.split === "held-out" ? "Measured on text that was held out from training. " : ""}Intervals
      are 95%, from resampling documents.
    </p>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Metric</th>
            <th scope="col" class="number">Value</th>
            <th scope="col" class="number">95% interval</th>
            <th scope="col">What it says</th>
          </tr>
        </thead>
        <tbody>
          ${report.metrics.map(
            (metric) =>
              markup`<tr>
                <th scope="row">${metric.name}</th>
                <td class="number">
                  ${formatFigure(metric.value)}${metric.unit === "" ? null : ` ${metric.unit}`}
                </td>
                <td class="number">
                  ${metric.low === null || metric.high === null ? "\u2013" : `${formatFigure(metric.low)} \u2013 ${formatFigure(metric.high)}`}
                </td>
                <td class="soft">${metric.note}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** Shares of the classes beside their false-positive rates. */
export function classesSection(report: AtlasReport): Html {
  const withheld = report.labelling.status === "withheld";
  const cell = ({ passed, tested }: { readonly passed: number; readonly tested: number }): Html =>
    markup`<td class="number">
      ${tested === 0 ? "\u2013" : markup`${formatShare(passed / tested)}<br /><small class="soft">${formatCount(passed)} of ${formatCount(tested)}</small>`}
    </td>`;
  const rates = report.alphabet.baseRates
    .slice(0, 5)
    .map((base) => `${base.letter} ${formatShare(base.rate)}`);
  return markup`<section id="classes" aria-labelledby="classes-title">
    <h2 id="classes-title">
      ${withheld ? "What the class tests measure (labels withheld)" : "Classes"}
    </h2>
    <p class="soft">
      A share means little without its false-positive rate: the same test on latents that are not
      dense, and on random directions. A latent may pass several tests; the first in the table names
      it.${withheld ? " While labels are withheld, these are counts of a statistic passing a cut, not of latents that do something." : ""}
    </p>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col" class="number">Dense latents</th>
            <th scope="col" class="number">Antipodal pairs</th>
            <th scope="col" class="number">Not dense<br />(false positives)</th>
            <th scope="col" class="number">Random directions<br />(false positives)</th>
            <th scope="col">Test</th>
          </tr>
        </thead>
        <tbody>
          ${report.classes.map(
            (entry) =>
              markup`<tr>
                <th scope="row">${entry.name}</th>
                ${cell(entry.dense)}
                <td class="number">${formatCount(entry.pairs)}</td>
                ${cell(entry.sparse)}${cell(entry.random)}
                <td class="soft">${entry.test}</td>
              </tr>`,
          )}${withheld ? null : unclassified(report)}
        </tbody>
      </table>
    </div>
    ${rates.length === 0 ? null : markup`<p class="soft">Base rates of the commonest first letters in the vocabulary: ${rates.join(", ")}.</p>`}
  </section>`;
}

function unclassified(report: AtlasReport): Html | null {
  if (report.latents.length === 0) return null;
  const count = report.latents.filter((latent) => latent.labels.length === 0).length;
  return markup`<tr>
    <th scope="row">unclassified</th>
    <td class="number">
      ${formatShare(count / report.latents.length)}<br /><small class="soft">${formatCount(count)} of ${formatCount(report.latents.length)}</small>
    </td>
    <td class="number">&ndash;</td>
    <td class="number">&ndash;</td>
    <td class="number">&ndash;</td>
    <td class="soft">passes none of the above; the paper leaves more than half unexplained</td>
  </tr>`;
}
