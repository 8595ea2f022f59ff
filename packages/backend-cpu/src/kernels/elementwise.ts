import type { BinaryOperator, Kernels, UnaryOperator } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { collapse, forEachOuter, padTo } from "./strides.ts";

type ElementwiseKernels = Pick<Kernels, "unary" | "binary" | "affine" | "siluMul">;

/** As src/wasm/assembly/binary.ts numbers them. */
const binaryCodes: Readonly<Record<BinaryOperator, number>> = {
  add: 0,
  div: 1,
  max: 2,
  min: 3,
  mul: 4,
  sub: 5,
};

export function elementwiseKernels({ wasm }: Runtime): ElementwiseKernels {
  const unaryFunctions: Readonly<
    Record<UnaryOperator, (x: number, out: number, count: number) => void>
  > = {
    abs: wasm.unaryAbs,
    exp: wasm.unaryExp,
    gelu: wasm.unaryGelu,
    geluTanh: wasm.unaryGeluTanh,
    log: wasm.unaryLog,
    neg: wasm.unaryNeg,
    relu: wasm.unaryRelu,
    rsqrt: wasm.unaryRsqrt,
    sigmoid: wasm.unarySigmoid,
    silu: wasm.unarySilu,
    sqrt: wasm.unarySqrt,
    square: wasm.unarySquare,
    tanh: wasm.unaryTanh,
  };

  return {
    unary(operator, x, out) {
      unaryFunctions[operator](address(x), address(out), x.length);
    },

    binary(operator, a, aStrides, b, bStrides, out, shape) {
      if (shape.includes(0)) return;
      const loop = padTo(collapse(shape, [aStrides, bStrides]), 2);
      const [rows = 1, columns = 1] = loop.shape.slice(-2);
      const [aRow = 0, aStep = 0] = (loop.strides[0] ?? []).slice(-2);
      const [bRow = 0, bStep = 0] = (loop.strides[1] ?? []).slice(-2);
      const [aAt, bAt, outAt] = [address(a), address(b), address(out)];
      const code = binaryCodes[operator];
      forEachOuter(loop, loop.shape.length - 2, ([aOffset = 0, bOffset = 0], index) => {
        wasm.binary(
          code,
          aAt + aOffset * 4,
          aRow,
          aStep,
          bAt + bOffset * 4,
          bRow,
          bStep,
          outAt + index * rows * columns * 4,
          rows,
          columns,
        );
      });
    },

    affine(x, factor, bias, out) {
      wasm.affine(address(x), factor, bias, address(out), x.length);
    },

    siluMul(gate, up, out) {
      wasm.siluMul(address(gate), address(up), address(out), gate.length);
    },
  };
}
