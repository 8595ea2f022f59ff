import type { Slice } from "@latentkit/tensor";
import type { Operand } from "./issue/operands.ts";
import type { ParameterType } from "./issue/program.ts";
import type { DType } from "@latentkit/core";
import type { Features } from "./features.ts";
import type { PlanSource } from "./kernels/matmul/choose.ts";

/** A number that a dispatch gives its program. */
export interface Parameter {
  readonly type: ParameterType;
  readonly value: number;
}

/** An unsigned integer; negative numbers are taken modulo 2^32, so that strides may be negative. */
export const u32 = (value: number): Parameter => ({ type: "u32", value });
export const i32 = (value: number): Parameter => ({ type: "i32", value });
/** Rounded to f32; infinities and NaN may be given. */
export const f32 = (value: number): Parameter => ({ type: "f32", value });

/** A dispatch of a kernel. */
export interface Issue {
  /** With the operands' layout the key of the compiled program: equal names must give equal bodies. */
  readonly name: string;
  /** Null for operands that are not there; their `load_NAME` does not exist. */
  readonly operands: Readonly<Record<string, Operand | null>>;
  readonly parameters?: Readonly<Record<string, Parameter>> | undefined;
  /** How many workgroups; any number, 0 for none. */
  readonly groups: number;
  /** Invocations of a workgroup, 256 by default. */
  readonly lanes?: number | undefined;
  /** The text, see `programText`. Called only when the program is not compiled yet. */
  readonly body: () => string;
}

/** What kernel families work with. */
export interface Runtime {
  /** What the device offers, as far as it is made use of. */
  readonly features: Features;
  /** Plans of matrix products: a rule's, or the tuner's where it has measured. */
  readonly plans: PlanSource;
  /** Whether factors of matrix products may be rounded to f16, as the caller permits and the device offers. */
  readonly halves: boolean;
  /** Records a dispatch. */
  issue(work: Issue): void;
  /** Runs `use` with `length` elements of scratch each, which are given back afterwards. */
  withScratch<const T extends readonly (readonly [DType, number])[]>(
    wanted: T,
    use: (...slices: { [K in keyof T]: Slice }) => void,
  ): void;
}
