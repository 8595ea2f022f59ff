import {
  addInto,
  type Device,
  fill,
  matmul,
  addMatmul,
  affine,
  linear,
  sparseOuterAdd,
  type SparseRows,
  sparseScatterAdd,
  sub,
  sum,
  type Tensor,
} from "@latentkit/tensor";
import type { SaeTensors } from "../weights.ts";
import type { TrainConfig } from "./config.ts";

/** A trained vector `[d_sae]` that only some architectures have, with its gradient. */
export interface ExtraParameter {
  readonly value: Tensor;
  /** Zero at the start of a step. */
  readonly gradient: Tensor;
}

/** By name, as the architecture's `extras` names them. */
export type ExtraParameters = Readonly<Record<string, ExtraParameter>>;

/** Numbers that an architecture keeps from step to step beside what Adam trains; they are part of each checkpoint. */
export type StepMemory = Readonly<Record<string, readonly number[]>>;

/** What an architecture needs to compute the gradients of one batch. All in units of the normalised input. */
export interface GradientStep {
  readonly device: Device;
  readonly config: TrainConfig;
  /** The weights; `threshold` is theta itself, however it is trained. */
  readonly parameters: SaeTensors;
  /** Zero at the start; of the same shapes. */
  readonly gradients: SaeTensors;
  /** What the architecture trains beside them; empty for most. */
  readonly extras: ExtraParameters;
  /** What the last step remembered; empty at the start. */
  readonly memory: StepMemory;
  /** Updates done so far. */
  readonly step: number;
  /** What the encoder reads, `[batchSize, d_in]`, scaled to unit mean square norm. */
  readonly x: Tensor;
  /** What is to be reconstructed, `[batchSize, d_out]`: `x` itself but for transcoders. */
  readonly target: Tensor;
  /** Whether the encoder sees x - b_dec: true for autoencoders; transcoders and crosscoders see x. */
  readonly centred: boolean;
  /** E||y - Ey||^2 of the normalised targets y, estimated once before training. */
  readonly variance: number;
  /** lambda of this step. */
  readonly sparsity: number;
  /** 1 for each latent that is dead by now; null while there is none, or no use for it. */
  readonly dead: Uint8Array | null;
  /** Rows of a block. */
  readonly blockRows: number;
  /** Whether so many latents fire that dense matrix products are faster than sparse rows; the gradients are the same. */
  readonly dense: boolean;
}

/** Figures of one batch. */
export interface StepResult {
  /** The loss that was differentiated, averaged over the batch. */
  readonly loss: number;
  /** Its AuxK part, or 0. */
  readonly auxiliaryLoss: number;
  /** Sum over the batch of ||x - x^||^2. */
  readonly squaredError: number;
  /** How often each latent fired in the batch, `[d_sae]`. */
  readonly firing: ArrayLike<number>;
  /** What the next step shall find; unchanged where left out. */
  readonly memory?: StepMemory | undefined;
}

/** Sets all gradients to 0. */
export function clearGradients(gradients: SaeTensors, extras: ExtraParameters): void {
  for (const gradient of Object.values(gradients))
    if (gradient !== null && gradient !== undefined) fill(gradient, 0);
  for (const { gradient } of Object.values(extras)) fill(gradient, 0);
}

/** Gradient buffers, zero, for these parameters. The caller disposes them. */
export function gradientsLike(device: Device, parameters: SaeTensors): SaeTensors {
  const like = (tensor: Tensor): Tensor => device.zeros(tensor.shape);
  const skip = parameters.skip ?? null;
  return {
    encoderRows: like(parameters.encoderRows),
    decoder: like(parameters.decoder),
    encoderBias: like(parameters.encoderBias),
    decoderBias: like(parameters.decoderBias),
    threshold: parameters.threshold === null ? null : like(parameters.threshold),
    skip: skip === null ? null : like(skip),
  };
}

/** Rows of a batch as encoder and decoder meet them. */
export interface StepBlock {
  /** What the encoder's rows are multiplied with, `[rows, d_in]`: x - b_dec, or x where the step is not `centred`. */
  readonly input: Tensor;
  /** What is left for the latents to write, `[rows, d_out]`: the target without b_dec, and without W_skip x where there is a skip. */
  readonly wanted: Tensor;
}

/** Rows `start .. end` of the batch. For autoencoders `input` and `wanted` are one tensor. */
export function blockOf(step: GradientStep, start: number, end: number): StepBlock {
  const { decoderBias, skip = null } = step.parameters;
  const x = step.x.rows(start, end);
  const wanted = sub(step.target.rows(start, end), decoderBias);
  if (step.centred) return { input: wanted, wanted };
  return { input: x, wanted: skip === null ? wanted : sub(wanted, linear(x, skip)) };
}

/**
 * Adds one block's gradients from its sparse rows: with `dPre` the gradient to each kept pre-activation and `dOutput` that to
 * the reconstruction, dW_dec[i] += f_i dOutput, dW_enc[i] += dPre_i input, db_enc[i] += dPre_i.
 */
export function addSparseGradients(
  gradients: SaeTensors,
  block: {
    readonly rows: SparseRows;
    readonly dPre: Tensor;
    readonly dOutput: Tensor;
    readonly input: Tensor;
  },
): void {
  sparseOuterAdd(block.rows, block.rows.values, block.dOutput, gradients.decoder);
  sparseOuterAdd(block.rows, block.dPre, block.input, gradients.encoderRows);
  sparseScatterAdd(block.rows, block.dPre, gradients.encoderBias);
}

/**
 * Adds the gradients of what is added to the latents' output: b_dec, and W_skip where there is one, with `dOutput` the gradient to a
 * block's reconstruction.
 */
export function addOutputGradients(step: GradientStep, block: StepBlock, dOutput: Tensor): void {
  const { decoderBias, skip = null } = step.gradients;
  addInto(decoderBias, sum(dOutput, { axis: 0 }));
  if (skip !== null) addMatmul(skip, dOutput, block.input, { transposeA: true });
}

/**
 * Adds the gradient that b_dec has through the encoder's input x - b_dec: each pre-activation loses W_enc[i] . b_dec, so it is
 * -sum_i db_enc[i] W_enc[i], one vector-matrix product for the whole batch. Call it once, after all blocks.
 */
export function addInputBiasGradient(
  device: Device,
  gradients: SaeTensors,
  parameters: SaeTensors,
): void {
  device.scope(() => {
    const [dSae = 0, dIn = 0] = parameters.encoderRows.shape;
    const through = matmul(gradients.encoderBias.reshape([1, dSae]), parameters.encoderRows);
    addInto(gradients.decoderBias, affine(through.reshape([dIn]), { factor: -1, bias: 0 }));
  });
}
