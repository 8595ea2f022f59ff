import { checkpoint } from "../../autograd/checkpoint.ts";
import type { Device } from "../../device.ts";
import { add } from "../../operators/arithmetic.ts";
import { attention } from "../../operators/attention.ts";
import { siluMul } from "../../operators/gated.ts";
import { embedding } from "../../operators/indexing.ts";
import { crossEntropy } from "../../operators/losses.ts";
import { linear } from "../../operators/matmul.ts";
import { rmsNorm } from "../../operators/normalise.ts";
import { rope } from "../../operators/position.ts";
import { ropeTables } from "../../operators/rope-tables.ts";
import { clipByGlobalNorm } from "../../optimisers/clip.ts";
import { adamW } from "../../optimisers/kinds.ts";
import type { Optimiser } from "../../optimisers/optimiser.ts";
import { cosineSchedule, warmUp } from "../../optimisers/schedules.ts";
import { valueAndGrad } from "../../autograd/grad.ts";
import type { Tensor } from "../../tensor.ts";

/** Sizes of the transformer, as `oracles/tensor/training_curve.py` has them. */
export interface ModelSizes {
  readonly vocabulary: number;
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly hidden: number;
  readonly layers: number;
}

/** Settings of the run. */
export interface TrainingSettings {
  readonly steps: number;
  readonly warmUp: number;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly maxNorm: number;
  readonly normEpsilon: number;
  readonly ropeBase: number;
}

/** By name: `embedding`, `layers.0.query`, ..., `norm`, and `head` unless that is the embedding. */
export type Weights = Readonly<Record<string, Tensor>>;

/** What a loss is computed from besides the weights. */
export interface Batch {
  /** i32 [batch, length]. */
  readonly inputs: Tensor;
  /** i32 [batch, length]. */
  readonly targets: Tensor;
}

/** A decoder of the Llama family: RMSNorm, rotary positions, grouped-query attention, SwiGLU. */
export class TrainingModel implements Disposable {
  readonly #sizes: ModelSizes;
  readonly #settings: TrainingSettings;
  readonly #cos: Tensor;
  readonly #sin: Tensor;
  readonly #positions: Tensor;

  constructor(
    device: Device,
    sizes: ModelSizes,
    settings: TrainingSettings,
    batch: number,
    length: number,
  ) {
    this.#sizes = sizes;
    this.#settings = settings;
    const tables = ropeTables({
      device,
      dRotary: sizes.headWidth,
      base: settings.ropeBase,
      positions: length,
    });
    this.#cos = tables.cos;
    this.#sin = tables.sin;
    const positions = Int32Array.from({ length: batch * length }, (_, index) => index % length);
    this.#positions = device.tensor(positions, [batch * length]);
  }

  /** Mean cross entropy of the next token. */
  loss(weights: Weights, { inputs, targets }: Batch, checkpointed: boolean): Tensor {
    const of = (name: string): Tensor => {
      const weight = weights[name];
      if (weight === undefined) throw new TypeError(`the weights lack ${name}`);
      return weight;
    };
    const { vocabulary, layers } = this.#sizes;
    let stream = embedding(of("embedding"), inputs);
    for (let layer = 0; layer < layers; layer++) {
      const run = (x: Tensor): Tensor => this.#layer((name) => of(`layers.${layer}.${name}`), x);
      stream = checkpointed ? checkpoint(run, stream) : stream.device.scope(() => run(stream));
    }
    const last = rmsNorm(stream, of("norm"), this.#settings.normEpsilon);
    const logits = linear(last, weights["head"] ?? of("embedding")).reshape([
      inputs.size,
      vocabulary,
    ]);
    return crossEntropy(logits, targets.reshape([targets.size]), { reduction: "mean" });
  }

  dispose(): void {
    for (const tensor of [this.#cos, this.#sin, this.#positions]) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #layer(of: (name: string) => Tensor, x: Tensor): Tensor {
    const { heads, kvHeads, headWidth } = this.#sizes;
    const { normEpsilon } = this.#settings;
    const [batch = 0, length = 0] = x.shape;
    const split = (flat: Tensor, count: number): Tensor =>
      flat.reshape([batch, length, count, headWidth]);
    const turned = (flat: Tensor): Tensor => rope(flat, this.#cos, this.#sin, this.#positions);
    const normed = rmsNorm(x, of("attentionNorm"), normEpsilon);
    const attended = attention(
      turned(split(linear(normed, of("query")), heads)),
      turned(split(linear(normed, of("key")), kvHeads)),
      split(linear(normed, of("value")), kvHeads),
      { scale: 1 / Math.sqrt(headWidth) },
    );
    const middle = add(
      x,
      linear(attended.reshape([batch, length, heads * headWidth]), of("output")),
    );
    const inner = rmsNorm(middle, of("mlpNorm"), normEpsilon);
    const wide = siluMul(linear(inner, of("gate")), linear(inner, of("up")));
    return add(middle, linear(wide, of("down")));
  }
}

/** AdamW with warm-up and cosine, norms without decay. */
export function makeOptimiser(weights: Weights, settings: TrainingSettings): Optimiser<Weights> {
  const { learningRate, beta1, beta2, epsilon, weightDecay, steps } = settings;
  return adamW(weights, {
    learningRate,
    betas: [beta1, beta2],
    epsilon,
    weightDecay,
    schedule: warmUp(settings.warmUp, cosineSchedule({ updates: steps - settings.warmUp })),
    groups: [{ match: /norm/i, weightDecay: 0 }],
  });
}

/** One step; the loss before it and the gradients' norm, on the device. */
export function trainStep(
  model: TrainingModel,
  optimiser: Optimiser<Weights>,
  weights: Weights,
  batch: Batch,
  { maxNorm, checkpointed }: { readonly maxNorm: number; readonly checkpointed: boolean },
): { readonly loss: Tensor; readonly norm: Tensor } {
  const both = valueAndGrad((given: Weights) => model.loss(given, batch, checkpointed));
  const { device } = batch.inputs;
  return device.scope(() => {
    const { value, gradients } = both(weights);
    const { norm, scale } = clipByGlobalNorm(gradients, maxNorm);
    optimiser.step(gradients, { gradientScale: scale });
    return { loss: value, norm };
  });
}
