import { renderFigure } from "../figures/figure.ts";
import { formatCount, formatFigure, formatShare, plural } from "../format.ts";
import { type Html, markup } from "../markup.ts";
import { renderFacts, renderGrid, renderPage } from "../page/frame.ts";
import { evaluationDensities, evaluationPositions } from "./evaluation-figures.ts";
import type { ReportInterval, SaeEvaluationReport } from "./sae-evaluation-report.ts";

/** The evaluation of one SAE as one self-contained HTML file. Names of models and sites are text, never markup. */
export function renderSaeEvaluation(report: SaeEvaluationReport): string {
  const { sae, model, site, metrics, splice } = report;
  return renderPage({
    title: `An SAE of ${model.name} at ${site}`,
    header: markup`<header class="top wrap">
      <p class="eyebrow">Latentkit SAE evaluation</p>
      <h1>An SAE of ${model.name} at <code>${site}</code></h1>
      ${renderFacts([
        ["Model", model.name, `weights ${model.weightsHash.slice(0, 12)}`],
        [
          "Sparse autoencoder",
          sae.architecture,
          `${formatCount(sae.dSae)} latents over ${formatCount(sae.dIn)} features`,
        ],
        ["Identity", markup`<code>${sae.identity.slice(0, 16)}</code>`, ""],
        [
          "Text",
          plural(metrics.tokens, "token"),
          `unmasked, of ${plural(metrics.documents, "document")}; spliced: ${plural(splice.contexts, "context")}`,
        ],
      ])}
    </header>`,
    contents: [
      ["figures", "Figures"],
      ["reconstruction", "Reconstruction"],
      ["model", "In the model"],
      ["method", "Method"],
    ],
    main: [
      figures(report),
      table("reconstruction", "Sparsity and reconstruction", reconstructionRows(report)),
      table("model", "In the language model", modelRows(report)),
      method(report),
    ],
    footer: ".",
  });
}

type Row = readonly [name: string, value: string, interval: string, note: string];

function figures(report: SaeEvaluationReport): Html {
  const drawn = [evaluationDensities(report), evaluationPositions(report)];
  return markup`<section id="figures" aria-labelledby="figures-title">
    <h2 id="figures-title">Figures</h2>
    <div class="figures">
      ${drawn.filter((figure) => figure !== null).map(renderFigure)}
    </div>
  </section>`;
}

function table(id: string, title: string, rows: readonly Row[]): Html {
  return markup`<section id="${id}" aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    ${renderGrid(
      [
        { name: "figure" },
        { name: "value", number: true },
        { name: "95%, over documents", number: true },
        { name: "what it is" },
      ],
      rows,
    )}
  </section>`;
}

function row(
  name: string,
  value: number | null,
  interval: ReportInterval,
  note: string,
  format: (value: number) => string = formatFigure,
): Row {
  return [
    name,
    value === null ? "\u2013" : format(value),
    interval === null ? "" : `${format(interval[0])} to ${format(interval[1])}`,
    note,
  ];
}

function reconstructionRows({ metrics }: SaeEvaluationReport): Row[] {
  return [
    row("L0", metrics.l0, metrics.l0Interval, "latents active on an average token"),
    row("FVU", metrics.fvu, metrics.fvuInterval, "share of the variance left out"),
    row(
      "FVU, legacy",
      metrics.fvuLegacy,
      metrics.fvuLegacyInterval,
      "mean of each token's own ratio, as older papers report it; not to be compared with the FVU",
    ),
    row(
      "FVU with masked tokens",
      metrics.fvuWithMasked,
      null,
      "attention sinks included: their variance dwarfs the rest, so it says little",
    ),
    row("Cosine", metrics.cosine, metrics.cosineInterval, "between activation and reconstruction"),
    row(
      "L2 ratio",
      metrics.l2Ratio,
      metrics.l2RatioInterval,
      "reconstruction's norm over the activation's",
    ),
    row(
      "Relative reconstruction bias",
      metrics.relativeReconstructionBias,
      metrics.relativeReconstructionBiasInterval,
      "gamma; below 1 reconstructions are too small",
    ),
    row("Dead latents", metrics.deadFraction, null, "never fired on this text", formatShare),
    row(
      "High-frequency latents",
      metrics.denseFraction,
      metrics.denseFractionInterval,
      "fire on more than a tenth of the tokens; interval over 32 groups of documents",
      formatShare,
    ),
  ];
}

function modelRows({ splice, uniformity }: SaeEvaluationReport): Row[] {
  const { intervals } = splice;
  return [
    row("Loss", splice.cleanLoss, intervals.cleanLoss, "of the model alone, nats a token"),
    row(
      "Loss with the SAE",
      splice.splicedLoss,
      intervals.splicedLoss,
      "reconstructions in place of activations",
    ),
    row("Delta loss", splice.delta, intervals.delta, "the difference"),
    row("Loss, zero ablation", splice.ablatedLoss, null, "zeros in place of activations"),
    row(
      "Loss, mean ablation",
      splice.meanAblatedLoss,
      null,
      "the mean activation in place of each",
    ),
    row(
      "Loss recovered (zero)",
      splice.recovered,
      intervals.recovered,
      "of what zero ablation costs, as SAELens has it",
    ),
    row(
      "Loss recovered (mean)",
      splice.recoveredFromMean,
      intervals.recoveredFromMean,
      "of what mean ablation costs",
    ),
    row("KL", splice.kl, intervals.kl, "of the model's predictions to those with the SAE, nats"),
    row("KL, zero ablation", splice.ablatedKl, null, ""),
    row("KL, mean ablation", splice.meanAblatedKl, null, ""),
    row(
      "KL score (zero)",
      splice.klScore,
      intervals.klScore,
      "share of zero ablation's divergence that is avoided",
    ),
    row("KL score (mean)", splice.klScoreFromMean, intervals.klScoreFromMean, "of mean ablation's"),
    ...(uniformity === null
      ? []
      : [
          row(
            "Uniformity",
            uniformity.uniformity,
            uniformity.interval,
            `of active latents' importance for the next token, 1 where all matter alike; ${plural(uniformity.tokens, "token")}`,
          ),
          row(
            "Effective latents",
            uniformity.effectiveLatents,
            uniformity.effectiveLatentsInterval,
            "as many equally important ones would have the same entropy",
          ),
        ]),
  ];
}

function method({ seed, sae, model }: SaeEvaluationReport): Html {
  return markup`<section id="method" aria-labelledby="method-title">
    <h2 id="method-title">How this was measured</h2>
    <p>
      One mask everywhere: the first position of each context, padding and tokens of outsized norm are left out of every figure, and keep
      their own activations where the model is run with reconstructions. Intervals are of 95%, by bootstrap over documents, since tokens of
      one document are not independent. Definitions follow Gemma Scope (arXiv 2408.05147).
    </p>
    <details>
      <summary>Hashes and seed</summary>
      <ul class="config">
        ${[
          ["model weights", model.weightsHash],
          ["SAE identity", sae.identity],
          ["seed", String(seed)],
        ].map(
          ([name = "", value = ""]) =>
            markup`<li><span class="soft">${name}</span><span class="mono">${value}</span></li>`,
        )}
      </ul>
    </details>
  </section>`;
}
