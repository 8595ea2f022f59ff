export type {
  AdamPlan,
  AttentionPlan,
  Backend,
  BackendInfo,
  BinaryOperator,
  Kernels,
  MatmulPlan,
  MemoryUse,
  ReduceOperator,
  Slice,
  SparseRowsSlices,
  Storage,
  UnaryOperator,
} from "./backend.ts";
export { Device } from "./device.ts";
export type { TensorData } from "./device.ts";
export {
  abs,
  add,
  addInto,
  affine,
  div,
  exp,
  gelu,
  geluTanh,
  log,
  maximum,
  minimum,
  mul,
  neg,
  relu,
  rsqrt,
  sigmoid,
  silu,
  siluMul,
  sqrt,
  square,
  sub,
  tanh,
} from "./operators/elementwise.ts";
export { clone, concat, convert, copyInto, fill, permute, slice } from "./operators/layout.ts";
export { jumpReluDense, jumpReluDenseGradient } from "./operators/jump-relu-dense.ts";
export type { JumpReluDenseGradientOptions } from "./operators/jump-relu-dense.ts";
export { addMatmul, linear, matmul } from "./operators/matmul.ts";
export type { MatmulOptions } from "./operators/matmul.ts";
export { adamStep, normalizeRows, removeParallelRows } from "./operators/optimise.ts";
export type { AdamMoments } from "./operators/optimise.ts";
export { argmax, max, mean, sum, sumOfSquares, topK } from "./operators/reduce.ts";
export type { ReduceOptions } from "./operators/reduce.ts";
export { encodeJumpRelu, encodeTopK } from "./operators/sparse-encode.ts";
export type { EncodeJumpReluOptions, EncodeTopKOptions } from "./operators/sparse-encode.ts";
export { jumpReluGradient, reluGradient } from "./operators/sparse-gradients.ts";
export type { JumpReluGradientOptions } from "./operators/sparse-gradients.ts";
export {
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sparseOuterAdd,
  sparseRowL0,
  sparseScatterAdd,
  sparseToDense,
} from "./operators/sparse-products.ts";
export {
  attention,
  crossEntropy,
  embedding,
  logSoftmax,
  rmsNorm,
  rmsNormWithScale,
  rope,
  ropeTables,
  softmax,
} from "./operators/transformer.ts";
export type { AttentionOptions, RopeTableOptions } from "./operators/transformer.ts";
export { createReferenceBackend } from "./reference/backend.ts";
export { heldTensors } from "./scope.ts";
export type { TensorHolder } from "./scope.ts";
export { SparseRows } from "./sparse-rows.ts";
export type { SparseRowsParts } from "./sparse-rows.ts";
export { Tensor } from "./tensor.ts";
