import { ConfigError } from "@latentkit/core";
import { requireValue } from "../checks.ts";
import { addInto, mul } from "../operators/arithmetic.ts";
import { clone } from "../operators/layout.ts";
import type { Tensor } from "../tensor.ts";
import { mapTensors, type NamedTensor, tensorsLike, tensorsOf } from "./nest.ts";

/**
 * Sums gradients of micro-batches, so that a batch need not fit in memory at once.
 *
 * With losses that are means, `mean()` is the gradient of the mean over all examples when each micro-batch is added with its number
 * of examples (or of tokens, where the loss is a mean over tokens) as weight.
 */
export class GradientAccumulator<Parameters> implements Disposable {
  #sums: { readonly nest: Parameters; readonly named: readonly NamedTensor[] } | null = null;
  #weight = 0;

  /** Sum of the weights so far. */
  get weight(): number {
    return this.#weight;
  }

  /** Adds `weight` times the gradients, which stay the caller's. */
  add(gradients: Parameters, weight = 1): void {
    requireValue(
      weight > 0 && Number.isFinite(weight),
      "GradientAccumulator.add",
      "weight",
      weight,
      "a number above 0",
    );
    if (this.#sums === null) {
      const nest = mapTensors(gradients, (tensor) => tensor.device.keep(scaled(tensor, weight)));
      this.#sums = { nest, named: tensorsOf(nest, "gradients") };
    } else {
      const { named } = this.#sums;
      const added = tensorsLike(gradients, named, "gradients");
      for (const [index, { tensor }] of named.entries()) {
        const gradient = added[index];
        if (gradient === undefined) continue;
        if (weight === 1) addInto(tensor, gradient);
        else {
          using part = mul(gradient, weight);
          addInto(tensor, part);
        }
      }
    }
    this.#weight += weight;
  }

  /**
   * The weighted mean, as tensors of the caller's, and starts anew. Throws `ConfigError` `GRADIENTS_NONE` when nothing was added.
   */
  mean(): Parameters {
    if (this.#sums === null) {
      throw new ConfigError({
        code: "GRADIENTS_NONE",
        message: "the mean of accumulated gradients was asked before any were added",
        fix: "add the gradients of at least one micro-batch",
      });
    }
    const factor = 1 / this.#weight;
    const mean = mapTensors(this.#sums.nest, (tensor) => mul(tensor, factor));
    this.dispose();
    return mean;
  }

  /** Forgets what was added. */
  dispose(): void {
    for (const { tensor } of this.#sums?.named ?? []) tensor.dispose();
    this.#sums = null;
    this.#weight = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function scaled(tensor: Tensor, weight: number): Tensor {
  return weight === 1 ? clone(tensor) : mul(tensor, weight);
}
