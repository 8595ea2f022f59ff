import {
  addInto,
  addMatmul,
  affine,
  exp,
  linear,
  matmul,
  mul,
  relu,
  sub,
  sum,
  sumOfSquares,
  greater,
  where,
} from "@latentkit/tensor";
import { z } from "zod";
import type { TrainingArchitecture } from "../train/training-architecture.ts";

const optionsSchema = z.object({ start: z.number() });

/**
 * An architecture such as a user may add: ReLU latents times a trained factor each, `f = exp(s) ReLU(W_enc (x - b_dec) + b_enc)`, with
 * a count of its steps in its memory. Its factors go into the encoder at export.
 */
export const scaledRelu: TrainingArchitecture = {
  name: "scaled-relu",
  extras: (config) => ({
    scale: optionsSchema.parse("options" in config ? config.options : {}).start,
  }),
  async gradients(step) {
    const { device, parameters, gradients, x } = step;
    const scale = step.extras["scale"];
    const batch = x.shape[0] ?? 0;
    const [squares, fires] = device.scope(() => {
      const input = sub(x, parameters.decoderBias);
      const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
      const factor = exp(scale?.value ?? device.zeros([1]));
      const latents = mul(relu(pre), factor);
      const error = sub(matmul(latents, parameters.decoder), input);
      const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
      addMatmul(gradients.decoder, latents, dOutput, { transposeA: true });
      addInto(gradients.decoderBias, sum(dOutput, { axis: 0 }));
      const dLatents = affine(linear(dOutput, parameters.decoder), {
        factor: 1,
        bias: step.sparsity / batch,
      });
      if (scale !== undefined) addInto(scale.gradient, sum(mul(dLatents, latents), { axis: 0 }));
      const dPre = where(greater(pre, 0), mul(dLatents, factor), 0);
      addMatmul(gradients.encoderRows, dPre, input, { transposeA: true });
      addInto(gradients.encoderBias, sum(dPre, { axis: 0 }));
      return [sumOfSquares(error), sum(where(greater(pre, 0), 1, 0), { axis: 0 })] as const;
    });
    const [squaredError, firing] = [await squares.item(), await fires.floats()];
    squares.dispose();
    fires.dispose();
    return {
      loss: squaredError / batch,
      auxiliaryLoss: 0,
      squaredError,
      firing,
      memory: { steps: [(step.memory["steps"]?.[0] ?? 0) + 1] },
    };
  },
  inferenceForm({ weights, extras }) {
    const dIn = weights.decoderBias.length;
    const factor = (latent: number): number => Math.exp(extras["scale"]?.[latent] ?? 0);
    return {
      kind: { architecture: "jumprelu" },
      weights: {
        ...weights,
        encoderRows: weights.encoderRows.map((value, at) => value * factor(Math.floor(at / dIn))),
        encoderBias: weights.encoderBias.map((value, latent) => value * factor(latent)),
        threshold: new Float32Array(weights.encoderBias.length),
      },
    };
  },
};
