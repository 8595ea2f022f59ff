// Element by element over operands that are broadcast by strides.
import { sizeOf } from "@latentkit/core";
import type {
  BinaryOperator,
  CompareOperator,
  ElementwiseKernels,
  LogicalOperator,
} from "../backend.ts";
import { stridedIndex } from "./memory.ts";
import { elements, f32, u8 } from "./storage.ts";

type BroadcastKernels = Pick<ElementwiseKernels, "binary" | "compare" | "logical" | "select">;

const binaryFunctions: Readonly<Record<BinaryOperator, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  div: (a, b) => a / b,
  max: Math.max,
  maxShare: (a, b) => (a === b ? 0.5 : a < b ? 0 : 1),
  min: Math.min,
  mul: (a, b) => a * b,
  sub: (a, b) => a - b,
};

const comparisons: Readonly<Record<CompareOperator, (a: number, b: number) => boolean>> = {
  equal: (a, b) => a === b,
  less: (a, b) => a < b,
  lessEqual: (a, b) => a <= b,
  notEqual: (a, b) => a !== b,
};

const connectives: Readonly<Record<LogicalOperator, (a: boolean, b: boolean) => boolean>> = {
  and: (a, b) => a && b,
  or: (a, b) => a || b,
  xor: (a, b) => a !== b,
};

export const broadcastKernels: BroadcastKernels = {
  binary(operator, a, aStrides, b, bStrides, out, shape) {
    const compute = binaryFunctions[operator];
    const [left, right, target] = [f32(a), f32(b), f32(out)];
    for (let index = 0; index < sizeOf(shape); index++) {
      const x = left[stridedIndex(index, shape, aStrides)] ?? Number.NaN;
      const y = right[stridedIndex(index, shape, bStrides)] ?? Number.NaN;
      target[index] = compute(x, y);
    }
  },

  compare(operator, a, aStrides, b, bStrides, out, shape) {
    const [left, right, target] = [elements(a), elements(b), u8(out)];
    for (let index = 0; index < sizeOf(shape); index++) {
      const x = left.get(stridedIndex(index, shape, aStrides));
      const y = right.get(stridedIndex(index, shape, bStrides));
      target[index] = Number(comparisons[operator](x, y));
    }
  },

  logical(operator, a, aStrides, b, bStrides, out, shape) {
    const [left, right, target] = [u8(a), u8(b), u8(out)];
    for (let index = 0; index < sizeOf(shape); index++) {
      const x = left[stridedIndex(index, shape, aStrides)] !== 0;
      const y = right[stridedIndex(index, shape, bStrides)] !== 0;
      target[index] = Number(connectives[operator](x, y));
    }
  },

  select(condition, conditionStrides, a, aStrides, b, bStrides, out, shape) {
    const [mask, whenTrue, whenFalse] = [u8(condition), elements(a), elements(b)];
    const target = elements(out);
    for (let index = 0; index < sizeOf(shape); index++) {
      const chosen = mask[stridedIndex(index, shape, conditionStrides)] !== 0;
      target.set(
        index,
        chosen
          ? whenTrue.get(stridedIndex(index, shape, aStrides))
          : whenFalse.get(stridedIndex(index, shape, bStrides)),
      );
    }
  },
};
