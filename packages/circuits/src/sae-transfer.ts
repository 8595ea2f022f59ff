import type { MaskPolicy } from "@latentkit/activations";
import { type LongCallOptions, MismatchError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import {
  bootstrapInterval,
  calibrateMask,
  contextRows,
  evaluateSae,
  type Interval,
  type Sae,
  type SpliceContext,
  spliceLoss,
} from "@latentkit/sae";
import { markdownTable, withInterval } from "./markdown-table.ts";
import { latentSite } from "./spliced-sites.ts";
import { type GroupSums, transferStatistics } from "./transfer-sums.ts";

/** Options of {@link saeTransfer}. */
export interface SaeTransferOptions extends LongCallOptions {
  /** The model that the SAE was trained on. */
  readonly base: LanguageModel;
  /** The same after fine-tuning: of the same width and sites. */
  readonly tuned: LanguageModel;
  readonly sae: Sae;
  /** Text that both are measured on, for example `packedContexts` of `@latentkit/sae`. */
  readonly contexts: readonly SpliceContext[];
  /** What the SAE's metadata names if left out. */
  readonly site?: string | undefined;
  /** Over the default mask; norms are compared with each model's own median on the first of these contexts. */
  readonly mask?: Partial<MaskPolicy> | undefined;
  /** Contexts in a run; 8 if left out. */
  readonly batchSize?: number | undefined;
  /** Of the bootstrap over documents; 1,000 resamples and seed 0 if left out. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/** A figure with its 95% interval by bootstrap over documents; null for fewer than two. */
export interface TransferFigure {
  readonly value: number;
  readonly interval: Interval | null;
}

/** The figures that are compared. */
export interface TransferFigures {
  /** Share of the variance that is not explained, as `evaluateSae` has it. */
  readonly fvu: TransferFigure;
  /** Mean number of active latents. */
  readonly l0: TransferFigure;
  /** What the SAE in the model adds to the loss, in nats a token, as `spliceLoss` has it. */
  readonly deltaLoss: TransferFigure;
  /** Share of the loss of zero ablation that is recovered. */
  readonly recovered: TransferFigure;
}

/** How an SAE does on one model. */
export interface TransferSide extends TransferFigures {
  readonly model: { readonly name: string; readonly weightsHash: string };
  /** Unmasked tokens. */
  readonly tokens: number;
  /** Norm that the mask compares with. */
  readonly medianNorm: number;
  /** Loss of the model itself, in nats a token. */
  readonly cleanLoss: number;
  /** Share of latents that never fired. */
  readonly deadFraction: number;
}

/** What {@link saeTransfer} measures. JSON can hold it. */
export interface SaeTransfer {
  readonly schemaVersion: 1;
  readonly site: string;
  /** Hash of what the SAE computes. */
  readonly sae: string;
  readonly contexts: number;
  readonly documents: number;
  readonly seed: number;
  readonly base: TransferSide;
  readonly tuned: TransferSide;
  /** Tuned minus base, with intervals of the difference: each resample draws the same documents for both. */
  readonly change: TransferFigures;
}

/** More documents than this are drawn in groups. */
const maximumGroups = 256;

/**
 * How well an SAE that was trained on a base model serves its tuned version, on the same text: FVU, L0 and delta loss on both, and their
 * differences (as Kissane et al. 2024, "SAEs (usually) transfer between base and chat models").
 *
 * @throws MismatchError `TRANSFER_MODELS` for models whose site or vocabulary differ; ConfigError `CIRCUIT_SITES`; as `evaluateSae` and
 *   `spliceLoss`
 */
export async function saeTransfer(options: SaeTransferOptions): Promise<SaeTransfer> {
  const { base, tuned, sae, contexts, resamples = 1000, seed = 0, onProgress } = options;
  const site = base.site(options.site ?? latentSite(sae).site).name;
  checkModels(base, tuned, site);
  const documents = [...new Set(contexts.map(({ document }) => document))];
  const groupOf = new Map(documents.map((document, place) => [document, place % maximumGroups]));
  const groups = Array.from({ length: Math.min(documents.length, maximumGroups) }, (_, group) =>
    contexts.filter(({ document }) => groupOf.get(document) === group),
  );
  let done = 0;
  const progress = () =>
    onProgress?.({
      stage: "transfer",
      done: ++done,
      total: 2 * groups.length,
      unit: "groups of documents",
    });
  const sides: Record<"base" | "tuned", MeasuredSide> = {
    base: await measure(base, site, options, groups, progress),
    tuned: await measure(tuned, site, options, groups, progress),
  };
  const figure = (statistic: (draws: ArrayLike<number>) => number): TransferFigure => ({
    value: statistic(groups.map(() => 1)),
    interval: bootstrapInterval(groups.length, statistic, { resamples, seed }),
  });
  const of = {
    base: transferStatistics(sides.base.sums),
    tuned: transferStatistics(sides.tuned.sums),
  };
  const figures = (
    pick: (name: "deltaLoss" | "fvu" | "l0" | "recovered") => (draws: ArrayLike<number>) => number,
  ): TransferFigures => ({
    fvu: figure(pick("fvu")),
    l0: figure(pick("l0")),
    deltaLoss: figure(pick("deltaLoss")),
    recovered: figure(pick("recovered")),
  });
  return {
    schemaVersion: 1,
    site,
    sae: await sae.identity(),
    contexts: contexts.length,
    documents: documents.length,
    seed,
    base: { ...sides.base.facts, ...figures((name) => of.base[name]) },
    tuned: { ...sides.tuned.facts, ...figures((name) => of.tuned[name]) },
    change: figures((name) => (draws) => of.tuned[name](draws) - of.base[name](draws)),
  };
}

/** The two sides and their difference as a Markdown table. */
export function transferTable({
  base,
  tuned,
  change,
}: Pick<SaeTransfer, "base" | "change" | "tuned">): string {
  const figure = ({ value, interval }: TransferFigure, digits: number) =>
    withInterval(value, interval, digits);
  const figures = (of: TransferFigures) => [
    figure(of.fvu, 3),
    figure(of.l0, 1),
    figure(of.deltaLoss, 4),
    figure(of.recovered, 3),
  ];
  return markdownTable(
    ["model", "tokens", "loss", "FVU", "L0", "delta loss", "recovered"],
    [
      ...[base, tuned].map((side) => [
        side.model.name,
        String(side.tokens),
        side.cleanLoss.toFixed(3),
        ...figures(side),
      ]),
      ["change", "", (tuned.cleanLoss - base.cleanLoss).toFixed(3), ...figures(change)],
    ],
  );
}

interface MeasuredSide {
  readonly facts: Omit<TransferSide, keyof TransferFigures>;
  readonly sums: readonly GroupSums[];
}

async function measure(
  model: LanguageModel,
  site: string,
  options: SaeTransferOptions,
  groups: readonly (readonly SpliceContext[])[],
  progress: () => void,
): Promise<MeasuredSide> {
  const { sae, contexts, batchSize, signal } = options;
  const mask = await calibrateMask(model, contexts, {
    site,
    mask: options.mask,
    batchSize,
    signal,
  });
  const firing = new Float64Array(sae.config.dSae);
  const sums: GroupSums[] = [];
  for (const group of groups) {
    // eslint-disable-next-line no-await-in-loop -- a group in memory at a time
    sums.push(await groupSums(model, group, { ...options, site, mask }, firing));
    progress();
  }
  const total = (key: "clean" | "predictions" | "tokens") =>
    sums.reduce((sum, group) => sum + group[key], 0);
  const { name, weightsHash } = model.identity();
  return {
    facts: {
      model: { name, weightsHash },
      tokens: total("tokens"),
      medianNorm: mask.medianNorm,
      cleanLoss: total("clean") / total("predictions"),
      deadFraction: firing.reduce((dead, fired) => dead + (fired === 0 ? 1 : 0), 0) / firing.length,
    },
    sums,
  };
}

/** What one group of documents adds. One without an unmasked token adds nothing. */
async function groupSums(
  model: LanguageModel,
  contexts: readonly SpliceContext[],
  options: Pick<SaeTransferOptions, "batchSize" | "sae" | "signal"> & {
    readonly site: string;
    readonly mask: Awaited<ReturnType<typeof calibrateMask>>;
  },
  firing: Float64Array,
): Promise<GroupSums> {
  const { sae, site, mask, batchSize, signal } = options;
  const rows = contextRows(model, contexts, { site, mask, batchSize, signal });
  const metrics = await evaluateSae(sae, rows, { resamples: 0, signal }).catch((error: unknown) => {
    if (MismatchError.isInstance(error) && error.code === "EVALUATION_EMPTY") return null;
    throw error;
  });
  const splice = await spliceLoss(model, sae, contexts, {
    site,
    mask,
    batchSize,
    signal,
    resamples: 0,
  });
  const { tokens: predictions } = splice;
  const sum = (loss: number) => (predictions === 0 ? 0 : loss * predictions);
  if (metrics !== null)
    for (const [latent, density] of metrics.densities.entries())
      firing[latent] = (firing[latent] ?? 0) + density;
  const error = (metrics?.mse ?? 0) * (metrics?.tokens ?? 0);
  return {
    tokens: metrics?.tokens ?? 0,
    active: (metrics?.l0 ?? 0) * (metrics?.tokens ?? 0),
    error,
    // A single token has no variance about itself, and no FVU.
    variance: metrics === null || metrics.tokens < 2 ? 0 : error / metrics.fvu,
    mean: metrics?.mean ?? new Float32Array(sae.config.dIn),
    predictions,
    clean: sum(splice.cleanLoss),
    spliced: sum(splice.splicedLoss),
    ablated: sum(splice.ablatedLoss),
  };
}

function checkModels(base: LanguageModel, tuned: LanguageModel, site: string): void {
  const [width, other] = [base.site(site).width, tuned.site(site).width];
  if (width === other && base.config.vocabulary === tuned.config.vocabulary) return;
  throw new MismatchError({
    code: "TRANSFER_MODELS",
    message: `${base.name} has ${width} features at ${site} and ${base.config.vocabulary} tokens, and ${tuned.name} has ${other} and ${tuned.config.vocabulary}`,
    fix: "give a model and a tuned version of it",
    where: site,
  });
}
