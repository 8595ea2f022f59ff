import { ConfigError } from "@latentkit/core";
import {
  add,
  addInto,
  addMatmul,
  affine,
  exp,
  greater,
  jumpReluDense,
  linear,
  logicalAnd,
  matmul,
  mul,
  relu,
  sub,
  sum,
  sumOfSquares,
  type Tensor,
  where,
} from "@latentkit/tensor";
import { rowBlocks } from "../blocks.ts";
import {
  addOutputGradients,
  blockOf,
  type ExtraParameter,
  type GradientStep,
  type StepBlock,
  type StepResult,
} from "../train/step.ts";
import type {
  InferenceForm,
  TrainedParameters,
  TrainingArchitecture,
} from "../train/training-architecture.ts";
import { total } from "./auxiliary.ts";

/**
 * Gated (2404.16014): with h = W_enc (x - b_dec), pi_gate = h + b_gate and pi_mag = exp(r_mag) h + b_mag, latents are
 * `f = 1[pi_gate > 0] ReLU(pi_mag)`. Rows of W_dec are kept at unit norm. Trained on
 *
 * `mean (||x - x^||^2 + lambda sum ReLU(pi_gate) + ||x - (sg(W_dec)^T ReLU(pi_gate) + sg(b_dec))||^2)`, sg for stop-gradient: the gate
 * learns from the last two terms alone. (A transcoder's target stands for x there, and W_skip is stopped as well.) b_mag is the encoder's bias here, b_gate and r_mag start at 0.
 *
 * For inference it is a JumpReLU, exactly: rows exp(r_mag) W_enc, bias b_mag, threshold max(0, b_mag - exp(r_mag) b_gate).
 */
export const gated: TrainingArchitecture = {
  name: "gated",
  extras: () => ({ gate_bias: 0, magnitude_scale: 0 }),
  gradients: gatedStep,
  inferenceForm,
};

async function gatedStep(step: GradientStep): Promise<StepResult> {
  const { device, x, blockRows } = step;
  const { dSae } = step.config;
  const batch = x.shape[0] ?? 0;
  const [gateBias, magnitudeScale] = [extra(step, "gate_bias"), extra(step, "magnitude_scale")];
  using firing = device.zeros([dSae], "i32");
  using zero = device.zeros([dSae]);
  const squared: Tensor[] = [];
  const penalties: Tensor[] = [];
  const auxiliaries: Tensor[] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      const block = device.scope(() => {
        const own = blockOf(step, start, end);
        return gatedBlock(step, { own, batch, firing, zero, gateBias, magnitudeScale });
      });
      squared.push(block.squaredError);
      penalties.push(block.penalty);
      auxiliaries.push(block.auxiliary);
    }
    if (step.centred) device.scope(() => addGateInputBias(step, gateBias, magnitudeScale));
    const squaredError = await total(squared);
    const auxiliaryLoss = (await total(auxiliaries)) / batch;
    return {
      loss:
        squaredError / batch + (step.sparsity * (await total(penalties))) / batch + auxiliaryLoss,
      auxiliaryLoss,
      squaredError,
      firing: await firing.integers(),
    };
  } finally {
    for (const tensor of [...squared, ...penalties, ...auxiliaries]) tensor.dispose();
  }
}

interface GatedBlock {
  readonly own: StepBlock;
  readonly batch: number;
  readonly firing: Tensor;
  readonly zero: Tensor;
  readonly gateBias: ExtraParameter;
  readonly magnitudeScale: ExtraParameter;
}

function gatedBlock(
  step: GradientStep,
  { own, batch, firing, zero, gateBias, magnitudeScale }: GatedBlock,
): { readonly squaredError: Tensor; readonly penalty: Tensor; readonly auxiliary: Tensor } {
  const { parameters, gradients, sparsity } = step;
  const { input, wanted } = own;
  const scale = exp(magnitudeScale.value);
  const hidden = linear(input, parameters.encoderRows);
  const gate = add(hidden, gateBias.value);
  const magnitude = add(mul(hidden, scale), parameters.encoderBias);
  const opens = greater(gate, 0);
  const latents = jumpReluDense(where(opens, magnitude, 0), zero, firing);
  const error = sub(matmul(latents, parameters.decoder), wanted);
  const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
  addMatmul(gradients.decoder, latents, dOutput, { transposeA: true });
  addOutputGradients(step, own, dOutput);
  const dMagnitude = where(
    logicalAnd(opens, greater(magnitude, 0)),
    linear(dOutput, parameters.decoder),
    0,
  );

  const open = relu(gate);
  const residual = sub(matmul(open, parameters.decoder), wanted);
  const dResidual = affine(residual, { factor: 2 / batch, bias: 0 });
  const dOpen = affine(linear(dResidual, parameters.decoder), {
    factor: 1,
    bias: sparsity / batch,
  });
  const dGate = where(opens, dOpen, 0);

  const dScaled = mul(dMagnitude, scale);
  addMatmul(gradients.encoderRows, add(dGate, dScaled), input, { transposeA: true });
  addInto(gradients.encoderBias, sum(dMagnitude, { axis: 0 }));
  addInto(gateBias.gradient, sum(dGate, { axis: 0 }));
  addInto(magnitudeScale.gradient, sum(mul(dScaled, hidden), { axis: 0 }));
  return {
    squaredError: sumOfSquares(error),
    penalty: sum(open),
    auxiliary: sumOfSquares(residual),
  };
}

/**
 * The gradient of b_dec through h, beyond the `-sum_i db_mag[i] W_enc[i]` that the trainer adds: h moves pi_mag by exp(r_mag), and
 * pi_gate too.
 */
function addGateInputBias(
  { parameters, gradients }: GradientStep,
  gateBias: ExtraParameter,
  magnitudeScale: ExtraParameter,
): void {
  const beyond = mul(
    gradients.encoderBias,
    affine(exp(magnitudeScale.value), { factor: 1, bias: -1 }),
  );
  const dHidden = add(gateBias.gradient, beyond);
  const through = matmul(dHidden.reshape([1, dHidden.size]), parameters.encoderRows);
  const dBias = affine(through.reshape(gradients.decoderBias.shape), { factor: -1, bias: 0 });
  addInto(gradients.decoderBias, dBias);
}

function inferenceForm({ weights, extras }: TrainedParameters): InferenceForm {
  return {
    kind: { architecture: "jumprelu" },
    weights: foldGate(weights, {
      gateBias: extras["gate_bias"] ?? new Float32Array(weights.encoderBias.length),
      magnitudeScale: extras["magnitude_scale"] ?? new Float32Array(weights.encoderBias.length),
    }),
  };
}

/**
 * A Gated SAE's weights, its magnitude's bias as b_enc, as those of the JumpReLU that it is: rows exp(r_mag) W_enc, threshold
 * max(0, b_mag - exp(r_mag) b_gate). In f64.
 */
export function foldGate<Weights extends TrainedParameters["weights"]>(
  weights: Weights,
  { gateBias, magnitudeScale }: Readonly<Record<"gateBias" | "magnitudeScale", Float32Array>>,
): Weights {
  const dIn = weights.encoderRows.length / weights.encoderBias.length;
  const scaleOf = (latent: number): number => Math.exp(magnitudeScale[latent] ?? 0);
  return {
    ...weights,
    encoderRows: weights.encoderRows.map((value, at) => value * scaleOf(Math.floor(at / dIn))),
    threshold: weights.encoderBias.map((bias, latent) =>
      Math.max(0, bias - scaleOf(latent) * (gateBias[latent] ?? 0)),
    ),
  };
}

function extra({ extras }: GradientStep, name: string): ExtraParameter {
  const found = extras[name];
  if (found !== undefined) return found;
  throw new ConfigError({
    code: "SAE_CONFIG_INVALID",
    message: `a Gated SAE was given no ${name}`,
    fix: "give the vectors that the architecture names as its extras",
  });
}
