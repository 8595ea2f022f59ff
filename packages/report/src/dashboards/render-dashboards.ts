import { ink } from "../figures/figure.ts";
import { formatCount, formatFigure, formatShare, plural } from "../format.ts";
import { type Html, markup, visibleToken } from "../markup.ts";
import { type Fact, renderFacts, renderGrid, renderPage } from "../page/frame.ts";
import { bars } from "./bars.ts";
import type {
  DashboardActivation,
  DashboardFeature,
  DashboardInterpretation,
  DashboardScore,
  DashboardSummary,
  DashboardsReport,
} from "./dashboards-report.ts";

/** Strongest windows shown before the fold. */
const openWindows = 5;

/**
 * Dashboards of latents as one self-contained HTML file: what each fires on, which tokens it pushes, how often and how strongly it
 * fires, and, where a judge was asked, what it stands for and how well that predicts it.
 *
 * Tokens, explanations and names are text of models, corpora and judges: they are escaped wherever they stand, and invisible
 * characters in them are shown.
 */
export function renderDashboards(report: DashboardsReport): string {
  const { batch, interpretation } = report;
  return renderPage({
    title: `Latents of ${batch.model_id}, ${batch.sae_set}`,
    header: header(report),
    contents: [
      ...(interpretation === undefined ? [] : [["scores", "Scores"] as const]),
      ["latents", "Latents"],
      ["method", "Method"],
    ],
    main: [
      interpretation === undefined ? null : scoresSection(interpretation),
      latentsSection(report),
      methodSection(report),
    ],
    footer: " and holds excerpts of the text that was read.",
    scripted: true,
  });
}

function header({ batch, interpretation, text }: DashboardsReport): Html {
  const facts: Fact[] = [
    ["Model", batch.model_id, `layer ${batch.layer}`],
    ["Source", markup`<code>${batch.sae_set}</code>`, ""],
    ["Latents", formatCount(batch.features.length), "on this page"],
    ...(text === undefined
      ? []
      : [["Text", text.name, plural(text.tokens, "unmasked token")] as const]),
    ...(interpretation === undefined
      ? []
      : [
          [
            "Judge",
            interpretation.judge,
            interpretation.explainer === interpretation.judge
              ? "explained and scored"
              : `scored; explained by ${interpretation.explainer}`,
          ] as const,
        ]),
  ];
  return markup`<header class="top wrap">
    <p class="eyebrow">Latentkit dashboards</p>
    <h1>Latents of ${batch.model_id} at <code>${batch.sae_set}</code></h1>
    ${renderFacts(facts)}
  </header>`;
}

function scoresSection({ summary }: NonNullable<DashboardsReport["interpretation"]>): Html {
  const line = (name: string, score: DashboardSummary) => [
    name,
    formatCount(score.latents),
    figure(score.mean),
    interval(score.interval),
    figure(score.shuffledMean),
    figure(score.gain),
    interval(score.gainInterval),
  ];
  return markup`<section id="scores" aria-labelledby="scores-title">
    <h2 id="scores-title">How well the explanations predict</h2>
    ${renderGrid(
      [
        { name: "score" },
        { name: "latents", number: true },
        { name: "balanced accuracy", number: true },
        { name: "95%, over latents", number: true },
        { name: "with others' explanations", number: true },
        { name: "gain", number: true },
        { name: "95%", number: true },
      ],
      [line("detection", summary.detection), line("fuzzing", summary.fuzzing)],
    )}
    <p class="soft">
      Guessing gives 0.5. The same windows were scored with explanations exchanged among latents: what a judge gets from the windows
      alone. The gain is what the explanations add.
    </p>
  </section>`;
}

function latentsSection({ batch, interpretation }: DashboardsReport): Html {
  const judged = new Map(interpretation?.latents.map((entry) => [entry.latent, entry]));
  return markup`<section id="latents" aria-labelledby="latents-title">
    <h2 id="latents-title">${plural(batch.features.length, "latent")}</h2>
    <p class="soft">
      Shading shows how strongly the latent fires on each token, relative to its maximum; hover for the value.
    </p>
    <div class="controls" role="search" hidden>
      <label class="grow">Filter<input
          name="q"
          type="search"
          placeholder="text, token, explanation or #latent"
          autocomplete="off"/></label>
      <label>Show<select name="kind">
          <option value="">all</option>
          <option value="explained">explained</option>
          <option value="unexplained">unexplained</option>
          <option value="dense">fires on more than 10% of tokens</option>
          <option value="dead">never fired</option>
        </select></label>
      <label>Order<select name="order">
          <option value="latent">latent number</option>
          <option value="density">density</option>
          <option value="score">detection score</option>
          <option value="maximum">strongest firing</option>
        </select></label>
      <output name="count"></output>
    </div>
    <div data-latents>${batch.features.map((feature) => card(feature, judged.get(feature.feature_index)))}</div>
  </section>`;
}

function card(feature: DashboardFeature, judged: DashboardInterpretation | undefined): Html {
  const { feature_index: latent, frac_nonzero: density } = feature;
  const maximum = Math.max(0, ...feature.activations.flatMap(({ values }) => values));
  const explained = judged?.explanation ?? null;
  const kinds = [
    explained === null ? "unexplained" : "explained",
    ...(density > 0.1 ? ["dense"] : []),
    ...(density === 0 ? ["dead"] : []),
  ];
  return markup`<article
    class="latent"
    id="latent-${latent}"
    data-latent="${latent}"
    data-density="${density}"
    data-score="${judged?.scores?.detection?.balancedAccuracy ?? -1}"
    data-maximum="${maximum}"
    data-kinds="${kinds.join(" ")}"
    aria-labelledby="latent-${latent}-title">
    <header>
      <h3 id="latent-${latent}-title"><a href="#latent-${latent}">Latent ${latent}</a></h3>
      ${density > 0.1 ? markup`<span class="chip">high-frequency</span>` : null}
      ${density === 0 ? markup`<span class="chip held">never fired</span>` : null}
    </header>
    ${judged === undefined ? null : explanation(judged)}
    <dl class="stats">
      <div>
        <dt>Density</dt>
        <dd>${formatShare(density)} of tokens</dd>
      </div>
      <div>
        <dt>Strongest firing</dt>
        <dd>${formatFigure(maximum)}</dd>
      </div>
      ${
        judged?.scores === undefined || judged.scores === null
          ? null
          : [
              scoreItem("Detection", judged.scores.detection, judged.shuffled?.detection ?? null),
              scoreItem("Fuzzing", judged.scores.fuzzing, judged.shuffled?.fuzzing ?? null),
            ]
      }
    </dl>
    <div class="lens">
      ${tokenList("Promotes", feature.pos_str, feature.pos_values)}${tokenList("Suppresses", feature.neg_str, feature.neg_values)}
      ${bars("How strongly it fires", feature.freq_hist_data_bar_heights, feature.freq_hist_data_bar_values, ink.dense)}${bars("What it does to all logits", feature.logits_hist_data_bar_heights, feature.logits_hist_data_bar_values, ink.sparse)}
    </div>
    ${windows(feature, maximum)}
  </article>`;
}

function explanation({ explanation: text, failure }: DashboardInterpretation): Html {
  return text === null
    ? markup`<p class="soft">No explanation: ${failure ?? ""}</p>`
    : markup`<p class="explanation">${text}</p>`;
}

function scoreItem(name: string, own: DashboardScore | null, other: DashboardScore | null): Html {
  if (own === null)
    return markup`<div>
      <dt>${name}</dt>
      <dd>\u2013 <small>too few windows</small></dd>
    </div>`;
  const unanswered = own.unanswered === 0 ? "" : `, ${own.unanswered} unanswered`;
  return markup`<div>
    <dt>${name}</dt>
    <dd>
      ${figure(own.balancedAccuracy)} <small>${interval(own.interval)}</small><br /><small>${plural(own.answered, "window")}${unanswered}${other === null ? null : `; another's explanation: ${figure(other.balancedAccuracy)}`}</small>
    </dd>
  </div>`;
}

function tokenList(title: string, texts: readonly string[], values: readonly number[]): Html {
  return markup`<div>
    <h4>${title}</h4>
    <ul class="tokens">
      ${texts.map((text, index) => markup`<li title="${formatFigure(values[index] ?? 0)}"><code>${visibleToken(text)}</code></li>`)}
    </ul>
  </div>`;
}

function windows({ activations }: DashboardFeature, maximum: number): Html | null {
  const strongest = activations.filter(({ bin_min: low }) => low === -1);
  const weaker = activations.filter(({ bin_min: low }) => low !== -1);
  if (activations.length === 0) return null;
  const [open, folded] = [strongest.slice(0, openWindows), strongest.slice(openWindows)];
  const shown = (list: readonly DashboardActivation[]): Html =>
    markup`<ol class="contexts">${list.map((activation) => windowItem(activation, maximum))}</ol>`;
  return markup`<h4>Where it fires</h4>
    ${shown(open)}
    ${fold(folded, `${formatCount(folded.length)} more of the strongest`, shown)}
    ${fold(weaker, `${plural(weaker.length, "window")} by strength, strongest first`, shown)}`;
}

function fold(
  list: readonly DashboardActivation[],
  title: string,
  shown: (list: readonly DashboardActivation[]) => Html,
): Html | null {
  return list.length === 0
    ? null
    : markup`<details>
        <summary>${title}</summary>
        ${shown(list)}
      </details>`;
}

function windowItem(activation: DashboardActivation, maximum: number): Html {
  const { tokens, values, qualifying_token_index: peak } = activation;
  const texts = tokens.map((text, index) => {
    const value = values[index] ?? 0;
    if (!(value > 0)) return text;
    const heat = Math.max(1, Math.min(9, Math.ceil((9 * value) / maximum)));
    return markup`<b class="h${heat}${index === peak ? " peak" : ""}" title="${formatFigure(value)}">${text}</b>`;
  });
  const strongest = Math.max(0, ...values);
  const place =
    activation.bin_min === -1
      ? ""
      : `, between ${formatFigure(activation.bin_min)} and ${formatFigure(activation.bin_max)} (${formatShare(activation.bin_contains)} of tokens)`;
  return markup`<li>
    <q>${texts}</q>
    <cite>${formatFigure(strongest)}${place}</cite>
  </li>`;
}

function methodSection({ interpretation }: DashboardsReport): Html {
  return markup`<section id="method" aria-labelledby="method-title">
    <h2 id="method-title">How to read this</h2>
    <p>
      <b>Windows</b> are stretches of the text. The strongest ones flatter a latent: those by strength show what it does the rest of the
      time. Masked tokens (the first of each context, padding, outsized norms) never count as firing.
    </p>
    <p>
      <b>Promoted and suppressed tokens</b> come from the decoder row through the final norm's weight and the unembedding, skipping the
      layers in between. At early sites that says little. Histograms are drawn with square roots of their counts.
    </p>
    ${
      interpretation === undefined
        ? null
        : markup`<p>
          <b>Scores</b> are balanced accuracies (Paulo et al., arXiv 2410.13928). Detection: the judge is told the explanation and says in
          which windows the latent fires. Fuzzing: it says in which windows the right tokens are marked. Windows that were explained from
          are not scored on.
        </p>`
    }
  </section>`;
}

function figure(value: number | null): string {
  return value === null ? "\u2013" : formatFigure(value);
}

function interval(bounds: readonly [number, number] | null): string {
  return bounds === null ? "" : `${formatFigure(bounds[0])} to ${formatFigure(bounds[1])}`;
}
