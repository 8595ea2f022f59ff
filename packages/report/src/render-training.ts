import type { Figure } from "./figures/figure.ts";
import { renderFigure } from "./figures/figure.ts";
import { drawSeries, type Series, seriesLegend } from "./figures/series.ts";
import { formatCount, formatFigure, plural } from "./format.ts";
import { type Html, markup } from "./markup.ts";
import { renderFacts, renderGrid, renderPage } from "./page/frame.ts";
import type { TrainingReport, TrainingReportPoint, TrainingReportSae } from "./training-report.ts";

/**
 * How training went, as one self-contained HTML file: curves of all SAEs, what became of each, sparsity against error at the end, and
 * the settings in words. No network requests and no script.
 */
export function renderTraining(report: TrainingReport): string {
  const { saes } = report;
  const figures = [qualityFigure(saes), latentsFigure(saes), scheduleFigure(saes), frontier(saes)];
  return renderPage({
    title: `Training of ${report.title}`,
    header: header(report),
    contents: [
      ["outcome", "Outcome"],
      ["figures", "Curves"],
      ["settings", "Settings"],
    ],
    main: [
      outcomeSection(saes),
      markup`<section id="figures" aria-labelledby="figures-title">
        <h2 id="figures-title">Curves</h2>
        ${seriesLegend(saes.map(({ name }) => name))}
        <div class="figures">
          ${figures.filter((figure): figure is Figure => figure !== null).map(renderFigure)}
        </div>
      </section>`,
      settingsSection(saes),
    ],
    footer: ".",
  });
}

function header({ title, createdAt, command, facts, saes }: TrainingReport): Html {
  const made = `${createdAt.slice(0, 16).replace("T", " ")} UTC`;
  return markup`<header class="top wrap">
    <p class="eyebrow">Latentkit training</p>
    <h1>How ${plural(saes.length, "SAE")} trained: ${title}</h1>
    ${renderFacts([
      ...facts.map(({ name, value }) => [name, value, ""] as const),
      ["Made", made, ""] as const,
    ])}
    ${command === null ? null : markup`<p class="soft">Made by <code>${command}</code></p>`}
  </header>`;
}

function outcomeSection(saes: readonly TrainingReportSae[]): Html {
  const stopped = saes.filter(({ reason }) => reason !== null);
  const figure = (value: number | undefined): string =>
    value === undefined ? "\u2013" : formatFigure(value);
  return markup`<section id="outcome" aria-labelledby="outcome-title">
    <h2 id="outcome-title">Outcome</h2>
    ${stopped.map(
      ({ name, reason }) =>
        markup`<div class="banner" role="note">
          <b>${name} was given up</b>
          <p>${reason}</p>
        </div>`,
    )}
    ${renderGrid(
      [
        { name: "SAE" },
        { name: "site" },
        { name: "architecture" },
        { name: "latents", number: true },
        { name: "status" },
        { name: "presentations", number: true },
        { name: "unique tokens", number: true },
        { name: "L0, held out", number: true },
        { name: "FVU, held out", number: true },
        { name: "dense", number: true },
        { name: "dead", number: true },
      ],
      saes.map((sae) => {
        const last = sae.points.at(-1);
        return [
          sae.name,
          markup`<code>${sae.site}</code>`,
          sae.architecture,
          formatCount(sae.width),
          sae.status,
          `${formatCount(sae.presentations)} of ${formatCount(sae.planned)}`,
          formatCount(sae.uniqueTokens),
          figure(last?.heldOutL0),
          figure(last?.heldOutFvu),
          figure(last?.denseCount),
          figure(last?.deadCount),
        ];
      }),
    )}
    <p class="soft">
      FVU is the share of the variance of held-out activations that the reconstruction leaves over. A dense
      latent fires on more than a tenth of them; a dead one has been silent for as many training
      activations as the settings say.
    </p>
  </section>`;
}

/** One line for each SAE. */
function lines(
  saes: readonly TrainingReportSae[],
  value: (point: TrainingReportPoint) => number,
): Series[] {
  return saes.map(({ name, points }) => ({
    name,
    points: points.map((point) => ({ x: point.presentations / 1e6, y: value(point) })),
  }));
}

const across = { label: "million presentations \u2192" };

function qualityFigure(saes: readonly TrainingReportSae[]): Figure {
  const panels = [
    { name: "loss", value: ({ loss }: TrainingReportPoint) => loss, log: true },
    { name: "L0, held out", value: ({ heldOutL0 }: TrainingReportPoint) => heldOutL0, log: true },
    { name: "FVU, held out", value: ({ heldOutFvu }: TrainingReportPoint) => heldOutFvu },
  ];
  return {
    id: "figure-quality",
    title: "Loss, sparsity and error",
    description: "Loss, held-out L0 and held-out FVU against activations presented.",
    caption:
      "Loss is the mean over training batches since the last point, in units of the normalised input; L0 and FVU are those of held-out activations.",
    svg: markup`<div class="panels">
      ${panels.map(({ name, value, log = false }) =>
        drawSeries({
          label: `${name} during training`,
          x: across,
          y: log ? { label: name, log } : { label: name, zero: true },
          series: lines(saes, value),
        }),
      )}
    </div>`,
    wide: true,
  };
}

function latentsFigure(saes: readonly TrainingReportSae[]): Figure {
  const panels = [
    { name: "dense latents", value: ({ denseCount }: TrainingReportPoint) => denseCount },
    { name: "dead latents", value: ({ deadCount }: TrainingReportPoint) => deadCount },
    { name: "FVU, training batches", value: ({ fvu }: TrainingReportPoint) => fvu },
  ];
  return {
    id: "figure-latents",
    title: "Dense and dead latents",
    description:
      "Dense and dead latents, and the error on training batches, against presentations.",
    caption:
      "Dense counts still fall in a run that is too short. Dead latents are counted in training activations without a firing.",
    svg: markup`<div class="panels">
      ${panels.map(({ name, value }) =>
        drawSeries({
          label: `${name} during training`,
          x: across,
          y: { label: name, zero: true },
          series: lines(saes, value),
        }),
      )}
    </div>`,
    wide: true,
  };
}

function scheduleFigure(saes: readonly TrainingReportSae[]): Figure | null {
  if (saes.every(({ schedule }) => schedule.length === 0)) return null;
  const rates = saes.map(({ name, schedule }) => ({
    name,
    points: schedule.map(({ presentations, learningRate }) => ({
      x: presentations / 1e6,
      y: learningRate,
    })),
  }));
  const weights = saes.map(({ name, schedule }) => ({
    name,
    points: schedule.flatMap(({ presentations, sparsity }) =>
      sparsity === null ? [] : [{ x: presentations / 1e6, y: sparsity }],
    ),
  }));
  const plots = [
    { name: "learning rate", series: rates },
    { name: "lambda", series: weights },
  ].filter(({ series }) => series.some(({ points }) => points.length > 0));
  return {
    id: "figure-schedule",
    title: "Schedules",
    description: "Learning rate and sparsity weight against presentations, as planned.",
    caption: "As planned, warm-ups and decay included.",
    svg: markup`<div class="panels">
      ${plots.map(({ name, series }) =>
        drawSeries({
          label: `${name} as planned`,
          x: across,
          y: { label: name, zero: true },
          series,
        }),
      )}
    </div>`,
    wide: true,
  };
}

/** Sparsity against error at the end, where there is more than one SAE to compare. */
function frontier(saes: readonly TrainingReportSae[]): Figure | null {
  const ends = saes.map(({ name, points }) => {
    const last = points.at(-1);
    return {
      name,
      points: last === undefined ? [] : [{ x: last.heldOutL0, y: last.heldOutFvu }],
    };
  });
  if (ends.filter(({ points }) => points.length > 0).length < 2) return null;
  return {
    id: "figure-frontier",
    title: "Sparsity against error at the end",
    description: "Held-out FVU against held-out L0 of each SAE's last evaluation.",
    caption: "Down and to the left is better. Compare only SAEs of one site.",
    svg: drawSeries({
      label: "held-out FVU against held-out L0",
      x: { label: "L0 (log scale) \u2192", log: true },
      y: { label: "FVU", zero: true },
      series: ends,
      dots: true,
      width: 520,
      height: 300,
    }),
  };
}

function settingsSection(saes: readonly TrainingReportSae[]): Html {
  return markup`<section id="settings" aria-labelledby="settings-title">
    <h2 id="settings-title">Settings</h2>
    ${saes.map(
      ({ name, settings, stability }) =>
        markup`<details>
          <summary>${name}</summary>
          <ul class="config">
            ${settings.map((fact) => markup`<li><span class="soft">${fact.name}</span><span>${fact.value}</span></li>`)}
          </ul>
          ${stability === null ? null : markup`<p class="soft">${stability}</p>`}
        </details>`,
    )}
  </section>`;
}
