import type {
  Activation,
  GatedActivation,
  UnaryGradientOperator,
  UnaryOperator,
} from "@latentkit/tensor";

/** Functions of one float, `x`, as expressions in WGSL. Those of NaN are NaN. */
export const unaryFunctions: Readonly<Record<UnaryOperator, string>> = {
  abs: "abs(x)",
  cos: "cos_of(x)",
  erf: "erf_of(x)",
  exp: "exp_of(x)",
  expm1: "expm1_of(x)",
  gelu: "gelu_of(x)",
  geluTanh: "gelu_tanh_of(x)",
  log: "log_of(x)",
  log1p: "log1p_of(x)",
  neg: "-x",
  reciprocal: "1.0 / x",
  relu: "relu_of(x)",
  rsqrt: "rsqrt_of(x)",
  sigmoid: "sigmoid_of(x)",
  sign: "sign_of(x)",
  silu: "silu_of(x)",
  sin: "sin_of(x)",
  softplus: "softplus_of(x)",
  sqrt: "sqrt_of(x)",
  square: "x * x",
  tanh: "tanh_of(x)",
};

/** Derivatives by what the operators save, see the contract: `s` is the output, or the input. */
export const unarySlopes: Readonly<Record<UnaryGradientOperator, string>> = {
  abs: "sign_of(s)",
  cos: "-sin_of(s)",
  erf: "erf_slope(s)",
  exp: "s",
  expm1: "(s + 1.0)",
  gelu: "gelu_slope(s)",
  geluTanh: "gelu_tanh_slope(s)",
  log: "(1.0 / s)",
  log1p: "(1.0 / (1.0 + s))",
  reciprocal: "(-s * s)",
  relu: "1.0",
  rsqrt: "(-0.5 * s * s * s)",
  sigmoid: "(s * (1.0 - s))",
  silu: "silu_slope(s)",
  sin: "cos_of(s)",
  softplus: "sigmoid_of(s)",
  sqrt: "(0.5 / s)",
  square: "(2.0 * s)",
  tanh: "(1.0 - s * s)",
};

/** Activations and their derivatives by function name. */
export const activationFunctions: Readonly<Record<Activation | GatedActivation, string>> = {
  gelu: "gelu_of",
  geluTanh: "gelu_tanh_of",
  relu: "relu_of",
  silu: "silu_of",
};
export const activationSlopes: Readonly<Record<GatedActivation, string>> = {
  gelu: "gelu_slope",
  geluTanh: "gelu_tanh_slope",
  silu: "silu_slope",
};
