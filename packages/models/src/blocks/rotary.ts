import {
  concat,
  type Device,
  rope,
  type RopeScaling,
  ropeTables,
  type Tensor,
} from "@latentkit/tensor";
import type { ForwardCall } from "../families/family.ts";

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
  /** None by default. */
  readonly scaling?: RopeScaling | undefined;
}

/** What a rotation needs to know of a run. */
export type RotaryCall = Pick<
  ForwardCall,
  "hostPositions" | "positions" | "rowLengths" | "startPosition"
>;

/** The rotation of one run's queries and keys. */
export interface Rotation {
  /** Turns `x [batch, pos, heads, dHead]`. A new tensor. */
  apply(x: Tensor): Tensor;
}

/**
 * Rotary position embeddings (2104.09864), in pairs (i, i + dRotary / 2) as Hugging Face has them.
 *
 * Frequencies that depend on a sequence's length (`dynamic`, `longrope`) are those of each row's own length in this run, as transformers
 * takes those of the longest. With a cache, as there, keys keep the rotation that they were given.
 */
export class Rotary implements Disposable {
  readonly #options: RotaryOptions;
  /** Kept from run to run, by the length that their frequencies are for; 0 where there is one set for all. */
  readonly #kept = new Map<number, Tables>();

  constructor(options: RotaryOptions) {
    this.#options = options;
  }

  /** The rotation of a run. What it makes for this run alone belongs to the open scope. */
  of({ positions, hostPositions, rowLengths, startPosition }: RotaryCall): Rotation {
    const { device, dRotary } = this.#options;
    const length = hostPositions.length / rowLengths.length;
    const variants = rowLengths.map((tokens) => this.#variant(tokens));
    const byVariant = new Map(
      variants.map((variant) => [variant, this.#upTo(startPosition + length, variant)]),
    );
    const all = [...byVariant.values()];
    const [only] = all;
    if (only !== undefined && all.length === 1)
      return { apply: (x) => rope(x, only.cos, only.sin, positions, { dRotary }) };
    // Tables one after the other, and each row's positions in its own.
    const starts = new Map<number, number>();
    let total = 0;
    for (const [variant, table] of byVariant) {
      starts.set(variant, total);
      total += table.length;
    }
    const places = hostPositions.map(
      (position, token) => position + (starts.get(variants[Math.floor(token / length)] ?? 0) ?? 0),
    );
    const shifted = device.tensor(places, positions.shape);
    const cos = concat(
      all.map((table) => table.cos),
      { axis: 0 },
    );
    const sin = concat(
      all.map((table) => table.sin),
      { axis: 0 },
    );
    return { apply: (x) => rope(x, cos, sin, shifted, { dRotary }) };
  }

  /** Makes the tables for sequences of up to `length` tokens, so that later runs need not. */
  prepare(length: number): void {
    const variant = this.#variant(length);
    if (this.#isFixed(variant)) this.#upTo(length, variant);
  }

  [Symbol.dispose](): void {
    for (const { cos, sin } of this.#kept.values()) {
      cos.dispose();
      sin.dispose();
    }
    this.#kept.clear();
  }

  /** The sequence length whose frequencies a sequence of `length` has. */
  #variant(length: number): number {
    const { scaling } = this.#options;
    if (scaling?.type === "dynamic") return Math.max(length, scaling.originalPositions);
    if (scaling?.type !== "longrope") return 0;
    return length > scaling.originalPositions
      ? scaling.originalPositions + 1
      : scaling.originalPositions;
  }

  /** Whether many runs have it: beyond the original length, `dynamic` has frequencies of its own for each length. */
  #isFixed(variant: number): boolean {
    const { scaling } = this.#options;
    return scaling?.type !== "dynamic" || variant === scaling.originalPositions;
  }

  // Tables for 131,072 positions take 64 MB, so they grow with what is used, doubling.
  #upTo(wanted: number, variant: number): Tables {
    const { device, contextSize } = this.#options;
    // Padding makes a run longer than its sequences, whose own positions stay within the context.
    const length = Math.min(wanted, contextSize);
    if (!this.#isFixed(variant)) return this.#make(length, variant);
    const known = this.#kept.get(variant);
    if (known !== undefined && known.length >= length) return known;
    const grown = Math.min(Math.max(2 * (known?.length ?? 0), length, 256), contextSize);
    const { cos, sin } = this.#make(grown, variant);
    known?.cos.dispose();
    known?.sin.dispose();
    // They outlive the scope of the run that happened to need them first.
    const made = { length: grown, cos: device.keep(cos), sin: device.keep(sin) };
    this.#kept.set(variant, made);
    return made;
  }

  #make(positions: number, variant: number): Tables {
    const { device, dRotary, base, scaling } = this.#options;
    const sequenceLength = variant === 0 ? undefined : variant;
    const tables = ropeTables({ dRotary, base, scaling, positions, sequenceLength, device });
    return { length: positions, ...tables };
  }
}
