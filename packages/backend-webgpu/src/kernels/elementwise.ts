import type {
  BinaryOperator,
  CompareOperator,
  ElementwiseKernels,
  LogicalOperator,
} from "@latentkit/tensor";
import { atomic, read } from "../issue/operands.ts";
import { type Runtime, u32 } from "../runtime.ts";
import { activationFunctions, activationSlopes, unaryFunctions, unarySlopes } from "./functions.ts";
import { bitsOf } from "./memory.ts";
import { mapFloats, produce } from "./produce.ts";
import { stridedWalk } from "./strided.ts";

const binaryFunctions: Readonly<Record<BinaryOperator, string>> = {
  add: "a + b",
  div: "a / b",
  max: "larger(a, b)",
  maxShare: "select(select(1.0, 0.0, less_than(a, b)), 0.5, equals(a, b))",
  min: "smaller(a, b)",
  mul: "a * b",
  sub: "a - b",
};

const comparisons: Readonly<Record<CompareOperator, readonly [floats: string, integers: string]>> =
  {
    equal: ["equals(a, b)", "a == b"],
    less: ["less_than(a, b)", "a < b"],
    lessEqual: ["at_most(a, b)", "a <= b"],
    notEqual: ["!equals(a, b)", "a != b"],
  };

const connectives: Readonly<Record<LogicalOperator, string>> = { and: "&&", or: "||", xor: "!=" };

/** Element by element, broadcast by strides: each operand is read once, where it is not repeated, and the output written once. */
export function elementwiseKernels(runtime: Runtime): ElementwiseKernels {
  return {
    unary(operator, x, out) {
      mapFloats(runtime, `unary:${operator}`, out, { x: read(x) }, unaryFunctions[operator]);
    },

    unaryGradient(operator, saved, dOut, dx) {
      // A gradient that is not let through is 0 whatever it was.
      const product =
        operator === "relu" ? "select(d, 0.0, at_most(s, 0.0))" : `d * ${unarySlopes[operator]}`;
      mapFloats(
        runtime,
        `unaryGradient:${operator}`,
        dx,
        { s: read(saved), d: read(dOut) },
        product,
      );
    },

    binary(operator, a, aStrides, b, bStrides, out, shape) {
      const walk = stridedWalk(shape, { a: aStrides, b: bStrides });
      produce(runtime, {
        name: `binary:${operator}:${walk.key}`,
        out,
        operands: { a: read(a), b: read(b) },
        parameters: walk.parameters,
        element: () => `${walk.text}
fn element(i: u32) -> f32 {
  let a = load_a(place_a(i));
  let b = load_b(place_b(i));
  return ${binaryFunctions[operator]};
}`,
      });
    },

    affine(x, factor, bias, out) {
      mapFloats(runtime, "affine", out, { x: read(x) }, "x * p.factor + p.bias", { factor, bias });
    },

    clamp(x, low, high, out) {
      const clamped = "smaller(larger(x, p.low), p.high)";
      mapFloats(runtime, "clamp", out, { x: read(x) }, clamped, { low, high });
    },

    clampGradient(x, low, high, dOut, dx) {
      const passed = "select(0.0, d, at_most(p.low, x) && at_most(x, p.high))";
      mapFloats(runtime, "clampGradient", dx, { x: read(x), d: read(dOut) }, passed, { low, high });
    },

    power(x, exponent, out) {
      mapFloats(runtime, "power", out, { x: read(x) }, "power_of(x, p.exponent)", { exponent });
    },

    gatedMul(activation, gate, up, out) {
      const product = `${activationFunctions[activation]}(g) * u`;
      mapFloats(runtime, `gatedMul:${activation}`, out, { g: read(gate), u: read(up) }, product);
    },

    gatedMulGradient(activation, gate, up, dOut, dGate, dUp) {
      if (dGate !== null)
        mapFloats(
          runtime,
          `gatedMulGradient:gate:${activation}`,
          dGate,
          { g: read(gate), u: read(up), d: read(dOut) },
          `d * u * ${activationSlopes[activation]}(g)`,
        );
      if (dUp !== null)
        mapFloats(
          runtime,
          `gatedMulGradient:up:${activation}`,
          dUp,
          { g: read(gate), d: read(dOut) },
          `d * ${activationFunctions[activation]}(g)`,
        );
    },

    compare(operator, a, aStrides, b, bStrides, out, shape) {
      const walk = stridedWalk(shape, { a: aStrides, b: bStrides });
      const [floats, integers] = comparisons[operator];
      produce(runtime, {
        name: `compare:${operator}:${a.dtype}:${walk.key}`,
        out,
        operands: { a: read(a), b: read(b) },
        parameters: walk.parameters,
        element: () => `${walk.text}
fn element(i: u32) -> u32 {
  let a = load_a(place_a(i));
  let b = load_b(place_b(i));
  return u32(${a.dtype === "f32" ? floats : integers});
}`,
      });
    },

    logical(operator, a, aStrides, b, bStrides, out, shape) {
      const walk = stridedWalk(shape, { a: aStrides, b: bStrides });
      produce(runtime, {
        name: `logical:${operator}:${walk.key}`,
        out,
        operands: { a: read(a), b: read(b) },
        parameters: walk.parameters,
        element: () => `${walk.text}
fn element(i: u32) -> u32 {
  let a = load_a(place_a(i)) != 0u;
  let b = load_b(place_b(i)) != 0u;
  return u32(a ${connectives[operator]} b);
}`,
      });
    },

    select(condition, conditionStrides, a, aStrides, b, bStrides, out, shape) {
      const walk = stridedWalk(shape, { c: conditionStrides, a: aStrides, b: bStrides });
      produce(runtime, {
        name: `select:${walk.key}`,
        out,
        raw: true,
        operands: { c: read(condition), a: bitsOf(read(a)), b: bitsOf(read(b)) },
        parameters: walk.parameters,
        element: () => `${walk.text}
fn element(i: u32) -> u32 {
  if (load_c(place_c(i)) != 0u) { return load_a(place_a(i)); }
  return load_b(place_b(i));
}`,
      });
    },

    isFinite(x, out) {
      produce(runtime, {
        name: "isFinite",
        out,
        operands: { x: read(x) },
        element: () => "fn element(i: u32) -> u32 { return u32(is_finite(load_x(i))); }",
      });
    },

    countNonFinite(x, out) {
      const count = { ...out, length: 1 };
      produce(runtime, {
        name: "zero",
        out: count,
        raw: true,
        element: () => "fn element(i: u32) -> u32 { return 0u; }",
      });
      const perGroup = 4096;
      runtime.issue({
        name: "countNonFinite",
        operands: { x: read(x), out: atomic(count) },
        parameters: { count: u32(x.length), perGroup: u32(perGroup) },
        groups: Math.ceil(x.length / perGroup),
        body: () => `
fn run(group: u32, lane: u32) {
  var found = 0u;
  let end = min(p.count, (group + 1u) * p.perGroup);
  for (var i = group * p.perGroup + lane; i < end; i += LANES) { found += u32(!is_finite(load_x(i))); }
  let sum = group_count(lane, found);
  if (lane == 0u && sum > 0u) { atomicAddWord_out(p.at_out, sum); }
}`,
      });
    },
  };
}
