import type { GatedActivation, UnaryGradientOperator, UnaryOperator } from "@latentkit/tensor";
import type { Tasks } from "./task.ts";

/** Elements of a chunk: some tens of microseconds of work. */
export const elementwiseGrain = 32_768;

/** By their numbers in jobs. */
export const unaryOperators: readonly UnaryOperator[] = [
  "abs",
  "cos",
  "erf",
  "exp",
  "expm1",
  "gelu",
  "geluTanh",
  "log",
  "log1p",
  "neg",
  "reciprocal",
  "relu",
  "rsqrt",
  "sigmoid",
  "sign",
  "silu",
  "sin",
  "softplus",
  "sqrt",
  "square",
  "tanh",
];

/** Those with a gradient kernel, by their numbers in jobs. */
export const unaryGradientOperators: readonly UnaryGradientOperator[] = unaryOperators.filter(
  (operator) => operator !== "neg" && operator !== "sign",
);

/** As src/wasm/assembly/math/normal.ts numbers them. */
export const gatedActivations: readonly GatedActivation[] = ["gelu", "geluTanh", "silu"];

/** Over elements; addresses first. */
export const elementwiseTasks = {
  unary({ wasm }, [operator = 0, x = 0, out = 0], begin, end) {
    const run = wasm[`${unaryOperators[operator] ?? "abs"}Map`];
    run(x + begin * 4, out + begin * 4, end - begin);
  },

  unaryGradient({ wasm }, [operator = 0, saved = 0, dOut = 0, dx = 0], begin, end) {
    const run = wasm[`${unaryGradientOperators[operator] ?? "abs"}Gradient`];
    run(saved + begin * 4, dOut + begin * 4, dx + begin * 4, end - begin);
  },

  affine({ wasm }, [x = 0, factor = 0, bias = 0, out = 0], begin, end) {
    wasm.affine(x + begin * 4, factor, bias, out + begin * 4, end - begin);
  },

  clamp({ wasm }, [x = 0, low = 0, high = 0, out = 0], begin, end) {
    wasm.clamp(x + begin * 4, low, high, out + begin * 4, end - begin);
  },

  clampGradient({ wasm }, [x = 0, low = 0, high = 0, dOut = 0, dx = 0], begin, end) {
    const at = begin * 4;
    wasm.clampGradient(x + at, low, high, dOut + at, dx + at, end - begin);
  },

  power({ wasm }, [x = 0, exponent = 0, out = 0], begin, end) {
    wasm.power(x + begin * 4, exponent, out + begin * 4, end - begin);
  },

  gatedMul({ wasm }, [activation = 0, gate = 0, up = 0, out = 0], begin, end) {
    const at = begin * 4;
    wasm.gatedMul(activation, gate + at, up + at, out + at, end - begin);
  },

  /** An address of 0 is of a gradient that nobody wants. */
  gatedMulGradient(
    { wasm },
    [activation = 0, gate = 0, up = 0, dOut = 0, dGate = 0, dUp = 0],
    begin,
    end,
  ) {
    const at = begin * 4;
    wasm.gatedMulGradient(
      activation,
      gate + at,
      up + at,
      dOut + at,
      dGate === 0 ? 0 : dGate + at,
      dUp === 0 ? 0 : dUp + at,
      end - begin,
    );
  },

  isFinite({ wasm }, [x = 0, out = 0], begin, end) {
    wasm.isFiniteMask(x + begin * 4, out + begin, end - begin);
  },

  /** Over parts of {@link elementwiseGrain} elements of `count`: each writes how many of its elements are not finite. */
  countNonFinite({ wasm }, [x = 0, count = 0, partials = 0], begin, end) {
    for (let part = begin; part < end; part++) {
      const start = part * elementwiseGrain;
      const length = Math.min(elementwiseGrain, count - start);
      wasm.countNonFinite(x + start * 4, length, partials + part * 4);
    }
  },
} as const satisfies Tasks;
