import { type Device, rope, ropeTables, type Tensor } from "@latentkit/tensor";

/** Cosines and sines for positions 0 .. length - 1, each `[length, dHead / 2]`. */
interface Tables {
  readonly length: number;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Rotary position embeddings (2104.09864) over whole heads, in pairs (i, i + dHead / 2) as Hugging Face has them. */
export class Rotary implements Disposable {
  readonly #device: Device;
  readonly #dHead: number;
  readonly #base: number;
  readonly #contextSize: number;
  #tables: Tables | null = null;

  constructor(options: { device: Device; dHead: number; base: number; contextSize: number }) {
    this.#device = options.device;
    this.#dHead = options.dHead;
    this.#base = options.base;
    this.#contextSize = options.contextSize;
  }

  /** Turns `x [batch, pos, heads, dHead]`; `positions` i32 `[batch * pos]`, all below `length`. A new tensor. */
  apply(x: Tensor, positions: Tensor, length: number): Tensor {
    const { cos, sin } = this.#upTo(length);
    return rope(x, cos, sin, positions);
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
  #upTo(length: number): Tables {
    if (this.#tables !== null && this.#tables.length >= length) return this.#tables;
    const grown = Math.min(
      Math.max(2 * (this.#tables?.length ?? 0), length, 256),
      Math.max(this.#contextSize, length),
    );
    const device = this.#device;
    const { cos, sin } = ropeTables({
      dRotary: this.#dHead,
      base: this.#base,
      positions: grown,
      device,
    });
    this[Symbol.dispose]();
    // They outlive the scope of the run that happened to need them first.
    this.#tables = { length: grown, cos: device.keep(cos), sin: device.keep(sin) };
    return this.#tables;
  }
}
