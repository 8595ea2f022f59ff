import type {
  BinaryOperator,
  CompareOperator,
  ElementwiseKernels,
  LogicalOperator,
  Slice,
} from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { matrixKernels } from "../tasks/broadcast.ts";
import { elementwiseGrain } from "../tasks/elementwise.ts";
import { collapse, forEachOuter, padTo } from "./strides.ts";

type BroadcastKernels = Pick<ElementwiseKernels, "binary" | "compare" | "logical" | "select">;

/** As src/wasm/assembly/binary.ts numbers them. */
const binaryCodes: Readonly<Record<BinaryOperator, number>> = {
  add: 0,
  div: 1,
  max: 2,
  maxShare: 3,
  min: 4,
  mul: 5,
  sub: 6,
};

/** As src/wasm/assembly/masks.ts numbers them. */
const compareCodes: Readonly<Record<CompareOperator, number>> = {
  equal: 0,
  less: 1,
  lessEqual: 2,
  notEqual: 3,
};

const logicalCodes: Readonly<Record<LogicalOperator, number>> = { and: 0, or: 1, xor: 2 };

interface Operand {
  readonly at: number;
  /** Bytes of an element. */
  readonly bytes: number;
  readonly strides: readonly number[];
}

export function broadcastKernels({ team }: Runtime): BroadcastKernels {
  /** Splits a broadcast into matrices; `run` gets each operand's address and its row and column steps, one after the other. */
  function eachMatrix(
    operands: readonly Operand[],
    out: number,
    outBytes: number,
    shape: readonly number[],
    run: (places: number[], out: number, rows: number, columns: number) => void,
  ): void {
    if (shape.includes(0)) return;
    const strides = operands.map((operand) => operand.strides);
    const loop = padTo(collapse(shape, strides), 2);
    const [rows = 1, columns = 1] = loop.shape.slice(-2);
    const steps = loop.strides.map((own) => own.slice(-2));
    forEachOuter(loop, loop.shape.length - 2, (offsets, index) => {
      const places = operands.flatMap(({ at, bytes }, operand) => [
        at + (offsets[operand] ?? 0) * bytes,
        ...(steps[operand] ?? []),
      ]);
      run(places, out + index * rows * columns * outBytes, rows, columns);
    });
  }

  function divide(rows: number, columns: number): { count: number; grain: number } {
    return rows === 1
      ? { count: columns, grain: elementwiseGrain }
      : { count: rows, grain: Math.ceil(elementwiseGrain / columns) };
  }

  function pair(
    name: (typeof matrixKernels)[number]["name"],
    code: number,
    a: Slice,
    aStrides: readonly number[],
    b: Slice,
    bStrides: readonly number[],
    out: Slice,
    shape: readonly number[],
  ): void {
    const kernel = matrixKernels.findIndex((each) => each.name === name);
    const { bytes = 4, outBytes = 4 } = matrixKernels[kernel] ?? {};
    const [length = 0] = shape;
    if (shape.length === 1) {
      // Operands of one shape, or a number: a matrix of one row, without the search for it.
      const row = [address(a), 0, aStrides[0] ?? 0, address(b), 0, bStrides[0] ?? 0, address(out)];
      team.run("broadcastPair", [kernel, code, ...row, 1, length], divide(1, length));
      return;
    }
    const operands = [
      { at: address(a), bytes, strides: aStrides },
      { at: address(b), bytes, strides: bStrides },
    ];
    eachMatrix(operands, address(out), outBytes, shape, (places, to, rows, columns) => {
      team.run(
        "broadcastPair",
        [kernel, code, ...places, to, rows, columns],
        divide(rows, columns),
      );
    });
  }

  return {
    binary(operator, ...operands) {
      pair("binary", binaryCodes[operator], ...operands);
    },

    compare(operator, a, ...rest) {
      const name =
        a.dtype === "f32" ? "compareF32" : a.dtype === "i32" ? "compareI32" : "compareU8";
      pair(name, compareCodes[operator], a, ...rest);
    },

    logical(operator, ...operands) {
      pair("logical", logicalCodes[operator], ...operands);
    },

    select(condition, conditionStrides, a, aStrides, b, bStrides, out, shape) {
      const operands = [
        { at: address(condition), bytes: 1, strides: conditionStrides },
        { at: address(a), bytes: 4, strides: aStrides },
        { at: address(b), bytes: 4, strides: bStrides },
      ];
      eachMatrix(operands, address(out), 4, shape, (places, to, rows, columns) => {
        team.run("select", [...places, to, rows, columns], divide(rows, columns));
      });
    },
  };
}
