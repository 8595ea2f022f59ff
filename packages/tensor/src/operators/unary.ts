import { differentiable } from "../autograd/differentiable.ts";
import type { UnaryGradientOperator, UnaryOperator } from "../backend.ts";
import { floats, requireValue } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** Operators whose gradient reads their output; the others' reads the input. */
const savesOutput: ReadonlySet<UnaryOperator> = new Set<UnaryOperator>([
  "exp",
  "expm1",
  "reciprocal",
  "relu",
  "rsqrt",
  "sigmoid",
  "sqrt",
  "tanh",
]);

function apply(operator: UnaryOperator, x: Tensor): Tensor {
  const input = floats(operator, x);
  const out = x.device.empty(x.shape);
  if (x.size > 0) x.device.backend.kernels.unary(operator, input, out.slice);
  return out;
}

function unary(operator: UnaryGradientOperator, x: Tensor): Tensor {
  const out = apply(operator, x);
  return differentiable(out, {
    operator,
    inputs: [x],
    saved: [savesOutput.has(operator) ? out : x],
    rule: (gradient, { saved: [saved = x] }) => [unaryGradient(operator, saved, gradient)],
  });
}

function unaryGradient(operator: UnaryGradientOperator, saved: Tensor, gradient: Tensor): Tensor {
  const out = gradient.device.empty(gradient.shape);
  if (out.size > 0)
    out.device.backend.kernels.unaryGradient(operator, saved.slice, gradient.slice, out.slice);
  return out;
}

/** Absolute value. Its gradient at 0 is 0. */
export function abs(x: Tensor): Tensor {
  return unary("abs", x);
}

/** Cosine of x in radians. */
export function cos(x: Tensor): Tensor {
  return unary("cos", x);
}

/** The error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x. */
export function erf(x: Tensor): Tensor {
  return unary("erf", x);
}

/** e to the x. */
export function exp(x: Tensor): Tensor {
  return unary("exp", x);
}

/** `e^x - 1`, accurate where x is small. */
export function expm1(x: Tensor): Tensor {
  return unary("expm1", x);
}

/** Exact GELU (1606.08415), `x * (1 + erf(x / sqrt 2)) / 2`. */
export function gelu(x: Tensor): Tensor {
  return unary("gelu", x);
}

/** GELU by its tanh approximation, `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`, as GPT-2 and Gemma have it. */
export function geluTanh(x: Tensor): Tensor {
  return unary("geluTanh", x);
}

/** Natural logarithm: -infinity at 0, NaN below. */
export function log(x: Tensor): Tensor {
  return unary("log", x);
}

/** `log(1 + x)`, accurate where x is small: -infinity at -1, NaN below. */
export function log1p(x: Tensor): Tensor {
  return unary("log1p", x);
}

/** `1 / x`. */
export function reciprocal(x: Tensor): Tensor {
  return unary("reciprocal", x);
}

/** `max(x, 0)`; NaN stays NaN. Its gradient at 0 is 0. */
export function relu(x: Tensor): Tensor {
  return unary("relu", x);
}

/** `1 / sqrt(x)`. */
export function rsqrt(x: Tensor): Tensor {
  return unary("rsqrt", x);
}

/** `1 / (1 + e^-x)`. */
export function sigmoid(x: Tensor): Tensor {
  return unary("sigmoid", x);
}

/** `x * sigmoid(x)`, also called swish (1702.03118). */
export function silu(x: Tensor): Tensor {
  return unary("silu", x);
}

/** Sine of x in radians. */
export function sin(x: Tensor): Tensor {
  return unary("sin", x);
}

/** `log(1 + e^x)`, without overflow. */
export function softplus(x: Tensor): Tensor {
  return unary("softplus", x);
}

/** Square root; NaN below 0. Its gradient at 0 is infinite. */
export function sqrt(x: Tensor): Tensor {
  return unary("sqrt", x);
}

/** `x * x`. */
export function square(x: Tensor): Tensor {
  return unary("square", x);
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return unary("tanh", x);
}

/** `-x`. */
export function neg(x: Tensor): Tensor {
  return differentiable(apply("neg", x), {
    operator: "neg",
    inputs: [x],
    rule: (gradient) => [apply("neg", gradient)],
  });
}

/** -1, 0 or 1; NaN stays NaN. Its gradient is 0 everywhere. */
export function sign(x: Tensor): Tensor {
  return differentiable(apply("sign", x), {
    operator: "sign",
    inputs: [x],
    rule: (gradient) => [gradient.device.zeros(gradient.shape)],
  });
}

/** Bounds of {@link clamp}; one that is left out does not bind. */
export interface ClampOptions {
  readonly low?: number | undefined;
  readonly high?: number | undefined;
}

/**
 * `min(max(x, low), high)`; NaN stays NaN. The gradient goes through where `low <= x <= high`.
 * Throws `ConfigError` `VALUE_RANGE` if a bound is NaN or `low > high`.
 */
export function clamp(
  x: Tensor,
  { low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY }: ClampOptions,
): Tensor {
  const input = floats("clamp", x);
  requireValue(!Number.isNaN(high), "clamp", "high", high, "a number");
  requireValue(low <= high, "clamp", "low", low, `at most high = ${high}`);
  const out = x.device.empty(x.shape);
  if (x.size > 0) x.device.backend.kernels.clamp(input, low, high, out.slice);
  return differentiable(out, {
    operator: "clamp",
    inputs: [x],
    saved: [x],
    rule: (gradient, { saved: [given = x] }) => {
      const dx = gradient.device.empty(gradient.shape);
      if (dx.size > 0)
        dx.device.backend.kernels.clampGradient(given.slice, low, high, gradient.slice, dx.slice);
      return [dx];
    },
  });
}
