import {
  add,
  affine,
  encodeBatchTopK,
  encodeTopK,
  linear,
  mul,
  relu,
  reluGradient,
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sparseGather,
  sparseOuterAdd,
  type SparseRows,
  sparseScatterAdd,
  sparseSmallest,
  sub,
  sum,
  sumOfSquares,
  type Tensor,
} from "@latentkit/tensor";
import type { BatchTopKTrainConfig } from "../train/kinds.ts";
import {
  addOutputGradients,
  addSparseGradients,
  blockOf,
  type GradientStep,
  type StepBlock,
  type StepMemory,
  type StepResult,
} from "../train/step.ts";
import type { InferenceForm, TrainedParameters } from "../train/training-architecture.ts";
import { addAuxiliary, type AuxiliaryBlock, auxiliaryOf, total } from "./auxiliary.ts";
import { withThreshold } from "./threshold-forms.ts";

/** Prefixes of the latents that must reconstruct by themselves. */
export interface Prefixes {
  /** How many latents each has, ascending; the last has all. */
  readonly widths: readonly number[];
  /** What each prefix's loss counts. */
  readonly weight: number;
}

/** How a kind of BatchTopK differs from the plain one. */
export interface BatchTopKOptions {
  /** Prefixes with losses of their own; null for none. */
  readonly prefixes: Prefixes | null;
  /** `[d_sae]`, above 0: what pre-activations are multiplied with before they compete; null for nothing. */
  readonly selectBy: Tensor | null;
}

/**
 * One step of BatchTopK, with the nested losses of `prefixes` or without. The whole batch's pre-activations exist meanwhile, since
 * they compete with each other.
 */
export async function batchTopKStep(
  step: GradientStep,
  config: Pick<
    BatchTopKTrainConfig,
    "auxiliaryK" | "auxiliaryWeight" | "dSae" | "k" | "thresholdRate" | "thresholdStart"
  >,
  { prefixes, selectBy }: BatchTopKOptions,
): Promise<StepResult> {
  const { device, parameters, x } = step;
  const { dSae } = config;
  const [batch = 0] = x.shape;
  const auxiliary = auxiliaryOf(config, step.dead, parameters.decoderBias.size);
  using allowed =
    auxiliary === null ? null : device.tensor(Int32Array.from(auxiliary.dead), [dSae]);
  using firing = device.zeros([dSae], "i32");
  const { own, pre } = device.scope(() => {
    const block = blockOf(step, 0, batch);
    return { own: block, pre: linear(block.input, parameters.encoderRows, parameters.encoderBias) };
  });
  const { input, wanted } = own;
  const owned: Tensor[] = [input, wanted, pre];
  try {
    const selected = await select(pre, config.k, selectBy);
    owned.push(selected.counts, selected.indices, selected.values);
    const rows =
      selectBy === null
        ? selected
        : selected.withValues(device.scope(() => relu(sparseGather(selected, pre))));
    owned.push(rows.values);
    const figures = device.scope(() => {
      const { error, losses } =
        prefixes === null ? addWhole(step, rows, own) : addPrefixes(step, { rows, own, prefixes });
      sparseCountFiring(rows, firing);
      return {
        error,
        losses: [...losses],
        squaredError: sumOfSquares(error),
        errorSum: sum(error, { axis: 0 }),
        smallest: sparseSmallest(selected),
        rows:
          auxiliary === null || allowed === null ? null : encodeTopK(pre, auxiliary.k, { allowed }),
      };
    });
    const { error, errorSum, smallest } = figures;
    const auxiliaryRows = figures.rows;
    owned.push(error, errorSum, smallest, figures.squaredError, ...figures.losses);
    if (auxiliaryRows !== null)
      owned.push(auxiliaryRows.counts, auxiliaryRows.indices, auxiliaryRows.values);
    const squaredError = await figures.squaredError.item();
    const kept: AuxiliaryBlock[] =
      auxiliaryRows === null ? [] : [{ rows: auxiliaryRows, error, input }];
    const auxiliaryLoss =
      kept.length === 0
        ? 0
        : await addAuxiliary(step, config, kept, {
            squaredError,
            errorSum: await errorSum.floats(),
            dPre: reluGradient,
          });
    const reconstruction = (prefixes?.weight ?? 1) * (await total(figures.losses));
    return {
      loss: reconstruction / (batch * step.variance) + config.auxiliaryWeight * auxiliaryLoss,
      auxiliaryLoss,
      squaredError,
      firing: await firing.integers(),
      memory: remembered(step, config, await smallest.item()),
    };
  } finally {
    for (const tensor of owned) tensor.dispose();
  }
}

/** The SAE for inference: a JumpReLU with the running threshold. */
export function thresholdForm({ weights, memory }: TrainedParameters): InferenceForm {
  return withThreshold(weights, runningThreshold(memory));
}

/** The threshold that a run has come to. */
export function runningThreshold(memory: StepMemory): number {
  return memory["threshold"]?.[0] ?? 0;
}

/** The k B largest. Rows have room for a few times k, or where that does not suffice, for what the fullest takes. */
async function select(pre: Tensor, k: number, selectBy: Tensor | null): Promise<SparseRows> {
  if (selectBy !== null) {
    using scaled = mul(pre, selectBy);
    return await select(scaled, k, null);
  }
  const width = pre.shape[1] ?? 0;
  const rows = encodeBatchTopK(pre, k, { capacity: Math.min(width, Math.ceil(4 * k) + 8) });
  const lost = await rows.overflow();
  if (lost === null) return rows;
  rows.dispose();
  return encodeBatchTopK(pre, k, { capacity: lost.capacityNeeded });
}

/** What the reconstruction leaves: x^ - x of all latents, and each loss's squared error. */
interface Reconstructed {
  readonly error: Tensor;
  readonly losses: readonly Tensor[];
}

function addWhole(step: GradientStep, rows: SparseRows, own: StepBlock): Reconstructed {
  const { decoder } = step.parameters;
  const error = sub(sparseDecode(rows, decoder, null), own.wanted);
  const factor = 2 / ((step.x.shape[0] ?? 0) * step.variance);
  const dOutput = affine(error, { factor, bias: 0 });
  const dPre = reluGradient(rows, sparseDot(rows, decoder, dOutput));
  addSparseGradients(step.gradients, { rows, dPre, dOutput, input: own.input });
  addOutputGradients(step, own, dOutput);
  return { error, losses: [sumOfSquares(error)] };
}

/**
 * The prefixes' gradients. A latent of group j (those that prefix j has and prefix j - 1 has not) writes into the prefixes j, j + 1,
 * ..., so it sees the sum of their gradients, G_j.
 */
function addPrefixes(
  step: GradientStep,
  {
    rows,
    own,
    prefixes,
  }: { readonly rows: SparseRows; readonly own: StepBlock; readonly prefixes: Prefixes },
): Reconstructed {
  const { device, parameters, gradients } = step;
  const { decoder } = parameters;
  const { widths, weight } = prefixes;
  const factor = (2 * weight) / ((step.x.shape[0] ?? 0) * step.variance);
  // 1 for each entry whose latent is in the group: the product of the latents' column and ones.
  const ones = device.full([rows.rows, 1], 1);
  const masks = widths.map((end, group) => {
    const start = widths[group - 1] ?? 0;
    const column = Float32Array.from({ length: rows.width }, (_, latent) =>
      latent >= start && latent < end ? 1 : 0,
    );
    return sparseDot(rows, device.tensor(column, [rows.width, 1]), ones);
  });
  const groups = masks.map((mask) => rows.withValues(mul(rows.values, mask)));
  const errors: Tensor[] = [];
  for (const group of groups) {
    const written = sparseDecode(group, decoder, null);
    errors.push(add(written, errors.at(-1) ?? affine(own.wanted, { factor: -1, bias: 0 })));
  }
  let dOutput: Tensor | null = null;
  let dValues: Tensor | null = null;
  for (const [group, error] of [...errors.entries()].toReversed()) {
    const dError = affine(error, { factor, bias: 0 });
    const dGroup: Tensor = dOutput === null ? dError : add(dOutput, dError);
    dOutput = dGroup;
    const [values, mask] = [groups[group]?.values, masks[group]];
    if (values === undefined || mask === undefined) continue;
    sparseOuterAdd(rows, values, dGroup, gradients.decoder);
    const masked: Tensor = mul(mask, sparseDot(rows, decoder, dGroup));
    dValues = dValues === null ? masked : add(dValues, masked);
  }
  if (dOutput !== null && dValues !== null) {
    const dPre = reluGradient(rows, dValues);
    sparseOuterAdd(rows, dPre, own.input, gradients.encoderRows);
    sparseScatterAdd(rows, dPre, gradients.encoderBias);
    addOutputGradients(step, own, dOutput);
  }
  return {
    error: errors.at(-1) ?? affine(own.wanted, { factor: -1, bias: 0 }),
    losses: errors.map((error) => sumOfSquares(error)),
  };
}

/** The threshold after a batch whose smallest positive activation is `smallest`; infinite where nothing fired. */
function remembered(
  step: GradientStep,
  { thresholdRate, thresholdStart }: Pick<BatchTopKTrainConfig, "thresholdRate" | "thresholdStart">,
  smallest: number,
): StepMemory {
  if (!Number.isFinite(smallest)) return step.memory;
  const before = step.memory["threshold"]?.[0];
  const threshold =
    before === undefined || step.step <= thresholdStart
      ? smallest
      : before + thresholdRate * (smallest - before);
  return { threshold: [threshold] };
}
