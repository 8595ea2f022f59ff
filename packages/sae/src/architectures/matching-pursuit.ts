import { ConfigError } from "@latentkit/core";
import {
  add,
  affine,
  encodeJumpRelu,
  encodeTopK,
  greater,
  less,
  linear,
  logicalOr,
  mul,
  norm,
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sparseGather,
  sparseOuterAdd,
  type SparseRows,
  sparseToDense,
  sub,
  sum,
  sumOfSquares,
  type Tensor,
  addInto,
  lessEqual,
  where,
} from "@latentkit/tensor";
import type { SaeArchitecture } from "../architecture.ts";
import { rowBlocks } from "../blocks.ts";
import type { MatchingPursuitConfig } from "../config.ts";
import type { MatchingPursuitTrainConfig } from "../train/kinds.ts";
import { blockOf, type GradientStep, type StepResult } from "../train/step.ts";
import { total } from "./auxiliary.ts";

/**
 * Matching pursuit (Costa et al., 2506.03093; as in SAELens): with r_0 = x - b_dec, each step takes the latent whose direction explains
 * most of what is left, i_t = argmax_i ReLU(r_t . d_i), adds v_t = ReLU(r_t . d_i) to its activation and leaves r_t+1 = r_t - v_t d_i.
 * A token is done when ||r|| is below a threshold, when a step took no new latent, or after `maxIterations`.
 *
 * Trained on `mean ||r_T||^2`, that is the reconstruction alone, with gradients through all steps; rows of W_dec, which is the encoder
 * too, are kept at unit norm. There is no b_enc.
 */
export const matchingPursuit: SaeArchitecture<MatchingPursuitConfig> = {
  name: "matching_pursuit",
  tied: true,
  encode() {
    throw new ConfigError({
      code: "SAE_NO_PRE_ACTIVATIONS",
      message: "matching pursuit chooses latents one after another, not by their pre-activations",
      fix: "call encode with the activations themselves",
    });
  },
  encodeInput(input, config, { decoder }) {
    const limit = config.maxIterations ?? input.shape[1] ?? 0;
    return pursue(input, decoder, { ...config, limit, keepSteps: false }).rows;
  },
  gradients: pursuitStep,
  inferenceForm: ({ weights }, trained) => {
    // The registry hands each architecture its own member of the union.
    const config = trained as MatchingPursuitTrainConfig;
    const { residualThreshold, maxIterations, stopOnDuplicateSupport } = config;
    return {
      kind: {
        architecture: "matching_pursuit",
        applyBDecToInput: true,
        residualThreshold,
        maxIterations,
        stopOnDuplicateSupport,
      },
      weights: { ...weights, encoderRows: weights.decoder },
    };
  },
};

/** How far {@link pursue} goes. */
interface PursuitOptions extends Pick<
  MatchingPursuitConfig,
  "residualThreshold" | "stopOnDuplicateSupport"
> {
  /** Most steps. */
  readonly limit: number;
  /** Whether to keep each step's choice, for gradients. */
  readonly keepSteps: boolean;
}

interface Pursuit {
  readonly rows: SparseRows;
  /** r_T, `[n, d_in]`. */
  readonly residual: Tensor;
  /** Each step's latent of each row, with v_t, which is 0 for rows that were done. */
  readonly steps: readonly SparseRows[];
}

/** Matching pursuit of `input [n, d_in]` over rows `decoder [d_sae, d_in]`. All tokens take as many steps, of size 0 once they are done. */
function pursue(input: Tensor, decoder: Tensor, options: PursuitOptions): Pursuit {
  const { device } = input;
  const { limit, residualThreshold, stopOnDuplicateSupport, keepSteps } = options;
  const [n = 0, dIn = 0] = input.shape;
  const [dSae = 0] = decoder.shape;
  return device.scope(() => {
    const steps: SparseRows[] = [];
    let residual = affine(input, { factor: 1, bias: 0 });
    let latents = device.zeros([n, dSae]);
    /** 1 for rows that are not done, `[n, 1]`. */
    let going = device.full([n, 1], 1);
    for (let step = 0; step < Math.min(limit, dSae * dIn); step++) {
      const next = device.scope(() => {
        const best = encodeTopK(linear(residual, decoder), 1);
        const chosen = best.withValues(mul(best.values, going));
        const left = sub(residual, sparseDecode(chosen, decoder, null));
        let done = lessEqual(going, 0);
        if (stopOnDuplicateSupport) {
          const had = greater(sparseGather(chosen, latents), 0);
          done = logicalOr(done, logicalOr(had, lessEqual(chosen.values, 0)));
        }
        if (residualThreshold > 0)
          done = logicalOr(done, less(norm(left, { axis: 1 }).reshape([n, 1]), residualThreshold));
        return {
          residual: left,
          latents: add(latents, sparseToDense(chosen)),
          going: where(done, 0, going),
          chosen: keepSteps ? chosen : null,
        };
      });
      for (const old of [residual, latents, going]) old.dispose();
      ({ residual, latents, going } = next);
      if (next.chosen !== null) steps.push(next.chosen);
    }
    // Without a kernel to have gradients within, only what is active is kept: at most one latent a step.
    const { rows } = encodeJumpRelu(latents, 0, {
      bandwidth: 0,
      capacity: Math.min(dSae, limit),
    });
    return { rows, residual, steps };
  });
}

async function pursuitStep(step: GradientStep): Promise<StepResult> {
  const { device, parameters, x, blockRows } = step;
  // The registry hands each architecture its own member of the union.
  const config = step.config as MatchingPursuitTrainConfig;
  const [batch = 0, dIn = 0] = x.shape;
  const limit = config.maxIterations ?? dIn;
  using firing = device.zeros([config.dSae], "i32");
  const squared: Tensor[] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      squared.push(
        device.scope(() => {
          const { input } = blockOf(step, start, end);
          const pursuit = pursue(input, parameters.decoder, { ...config, limit, keepSteps: true });
          addPursuitGradients(step, pursuit, batch);
          sparseCountFiring(pursuit.rows, firing);
          return sumOfSquares(pursuit.residual);
        }),
      );
    }
    const squaredError = await total(squared);
    return {
      loss: squaredError / batch,
      auxiliaryLoss: 0,
      squaredError,
      firing: await firing.integers(),
    };
  } finally {
    for (const tensor of squared) tensor.dispose();
  }
}

/**
 * Back through the steps: with g the gradient to r_t+1 = r_t - v_t d, v_t = ReLU(r_t . d), that to v_t is -g . d, that to d is -v_t g + dv_t r_t,
 * and that to r_t is g + dv_t d. r_t is found again as r_t+1 + v_t d.
 */
function addPursuitGradients(step: GradientStep, pursuit: Pursuit, batch: number): void {
  const { decoder } = step.parameters;
  const { gradients, device } = step;
  let residual = pursuit.residual;
  let gradient = affine(residual, { factor: 2 / batch, bias: 0 });
  for (const chosen of pursuit.steps.toReversed()) {
    const before = device.scope(() => {
      const earlier = add(residual, sparseDecode(chosen, decoder, null));
      const through = affine(sparseDot(chosen, decoder, gradient), { factor: -1, bias: 0 });
      const dValues = where(greater(chosen.values, 0), through, 0);
      const taken = affine(chosen.values, { factor: -1, bias: 0 });
      sparseOuterAdd(chosen, taken, gradient, gradients.decoder);
      sparseOuterAdd(chosen, dValues, earlier, gradients.decoder);
      const dEarlier = add(gradient, sparseDecode(chosen.withValues(dValues), decoder, null));
      return { residual: earlier, gradient: dEarlier };
    });
    ({ residual, gradient } = before);
  }
  // r_0 = x - b_dec.
  addInto(gradients.decoderBias, affine(sum(gradient, { axis: 0 }), { factor: -1, bias: 0 }));
}
