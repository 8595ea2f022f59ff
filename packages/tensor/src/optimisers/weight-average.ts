import { mapTensors, type NamedTensor, tensorsLike, tensorsOf } from "../autograd/nest.ts";
import { noGrad } from "../autograd/stop.ts";
import { requireValue } from "../checks.ts";
import { addInto, mul, sub } from "../operators/arithmetic.ts";
import { clone } from "../operators/layout.ts";

/** Which average {@link WeightAverage} keeps. */
export interface WeightAverageOptions {
  /** Factor of what was there, for an exponential moving average; without it all additions count the same. */
  readonly decay?: number | undefined;
  /** How many weights those that it starts with are already the average of, to go on with a saved one; 1 by default. */
  readonly count?: number | undefined;
}

/**
 * An average of weights as training goes on, or of checkpoints: `average += (1 - decay) * (weights - average)`, or with 1 / n in
 * place of `1 - decay` the mean of all that was added. It starts with the weights that it is made with, which count as the first.
 */
export class WeightAverage<Parameters> implements Disposable {
  /** The averaged weights; they are this object's, and change with each addition. */
  readonly weights: Parameters;
  readonly #named: readonly NamedTensor[];
  readonly #decay: number | null;
  #count: number;

  constructor(parameters: Parameters, { decay, count = 1 }: WeightAverageOptions = {}) {
    if (decay !== undefined)
      requireValue(
        decay >= 0 && decay < 1,
        "WeightAverage",
        "decay",
        decay,
        "at least 0 and below 1",
      );
    requireValue(
      Number.isSafeInteger(count) && count >= 1,
      "WeightAverage",
      "count",
      count,
      "an integer of at least 1",
    );
    this.#decay = decay ?? null;
    this.#count = count;
    this.weights = mapTensors(parameters, (tensor) => tensor.device.keep(clone(tensor)));
    this.#named = tensorsOf(this.weights);
  }

  /** How many weights went in. */
  get count(): number {
    return this.#count;
  }

  /** Adds weights of the same names and shapes. */
  add(parameters: Parameters): void {
    const given = tensorsLike(parameters, this.#named, "weights");
    this.#count++;
    const share = this.#decay === null ? 1 / this.#count : 1 - this.#decay;
    for (const [index, { tensor: average }] of this.#named.entries()) {
      const weight = given[index];
      if (weight === undefined) continue;
      const { device } = average;
      noGrad(device, () => device.scope(() => addInto(average, mul(sub(weight, average), share))));
    }
  }

  dispose(): void {
    for (const { tensor } of this.#named) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
