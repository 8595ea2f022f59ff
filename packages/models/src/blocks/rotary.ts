import { type Device, rope, type RopeScaling, ropeTables, type Tensor } from "@latentkit/tensor";

/** Cosines and sines for positions 0 .. length - 1, each `[length, dRotary / 2]`. */
interface Tables {
  readonly length: number;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** What a {@link Rotary} is made of. */
export interface RotaryOptions {
  readonly device: Device;
  /** Leading features of each head that are rotated. */
  readonly dRotary: number;
  readonly base: number;
  readonly contextSize: number;
  /** None by default. One whose frequencies depend on the sequence's length would be wrong here: tables are made once. */
  readonly scaling?: Exclude<RopeScaling, { type: "dynamic" | "longrope" }> | undefined;
}

/** Rotary position embeddings (2104.09864), in pairs (i, i + dRotary / 2) as Hugging Face has them. */
export class Rotary implements Disposable {
  readonly #options: RotaryOptions;
  #tables: Tables | null = null;

  constructor(options: RotaryOptions) {
    this.#options = options;
  }

  /** Turns `x [batch, pos, heads, dHead]`; `positions` i32 `[batch * pos]`, all below `length` and the context size. A new tensor. */
  apply(x: Tensor, positions: Tensor, length: number): Tensor {
    const { cos, sin } = this.#upTo(length);
    return rope(x, cos, sin, positions, { dRotary: this.#options.dRotary });
  }

  /** Makes the tables for `length` positions, so that later calls need not. */
  prepare(length: number): void {
    this.#upTo(length);
  }

  [Symbol.dispose](): void {
    this.#tables?.cos.dispose();
    this.#tables?.sin.dispose();
    this.#tables = null;
  }

  // Tables for 131,072 positions take 64 MB, so they grow with what is used, doubling.
  #upTo(wanted: number): Tables {
    const { device, dRotary, base, scaling, contextSize } = this.#options;
    // Padding makes a run longer than its sequences, whose own positions stay within the context.
    const length = Math.min(wanted, contextSize);
    if (this.#tables !== null && this.#tables.length >= length) return this.#tables;
    const grown = Math.min(Math.max(2 * (this.#tables?.length ?? 0), length, 256), contextSize);
    const { cos, sin } = ropeTables({ dRotary, base, scaling, positions: grown, device });
    this[Symbol.dispose]();
    // They outlive the scope of the run that happened to need them first.
    this.#tables = { length: grown, cos: device.keep(cos), sin: device.keep(sin) };
    return this.#tables;
  }
}
