export type {
  Activation,
  AdamPlan,
  AttentionGradientInputs,
  AttentionGradientOutputs,
  AttentionKernels,
  AttentionPlan,
  AxisPlan,
  Backend,
  BackendInfo,
  BinaryOperator,
  CumsumPlan,
  CrossEntropyPlan,
  CompareOperator,
  ElementwiseKernels,
  IndexingKernels,
  Kernels,
  MatmulKernels,
  GatedActivation,
  LogicalOperator,
  MatmulEpilogue,
  MatmulPlan,
  MemoryKernels,
  MemoryUse,
  NormGradientPlan,
  NormaliseKernels,
  OptimiseKernels,
  PositionKernels,
  RandomKernels,
  ReduceKernels,
  ReduceOperator,
  RopePlan,
  SgdPlan,
  Slice,
  SortKernels,
  SparseKernels,
  SparseRowsSlices,
  Storage,
  StoredActivations,
  StoredKernels,
  UnaryGradientOperator,
  UnaryOperator,
  WeightMatrix,
} from "./backend.ts";
export { GradientAccumulator } from "./autograd/accumulator.ts";
export { checkpoint } from "./autograd/checkpoint.ts";
export { custom } from "./autograd/custom.ts";
export type { CustomOperator, CustomResult } from "./autograd/custom.ts";
export { grad, valueAndGrad } from "./autograd/grad.ts";
export type { Differentiated, ValueAndGradients } from "./autograd/grad.ts";
export { disposeTensors, mapTensors, tensorsOf } from "./autograd/nest.ts";
export type { NamedTensor } from "./autograd/nest.ts";
export { findNonFinite, requireFiniteLoss } from "./autograd/non-finite.ts";
export type { FindNonFiniteOptions, NonFiniteReport, TensorHealth } from "./autograd/non-finite.ts";
export type {
  GradientContext,
  GradientRule,
  Observation,
  Observer,
  OperatorRecord,
  Recorder,
} from "./autograd/recorder.ts";
export { noGrad, stopGradient } from "./autograd/stop.ts";
export { Tape } from "./autograd/tape.ts";
export { Device } from "./device.ts";
export type { TensorData } from "./device.ts";
export {
  add,
  addInto,
  affine,
  div,
  maximum,
  minimum,
  mul,
  pow,
  sub,
} from "./operators/arithmetic.ts";
export {
  countNonFinite,
  equal,
  greater,
  greaterEqual,
  isFinite,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  notEqual,
  where,
} from "./operators/compare.ts";
export { geluMul, geluTanhMul, siluMul } from "./operators/gated.ts";
export {
  abs,
  clamp,
  cos,
  erf,
  exp,
  expm1,
  gelu,
  geluTanh,
  log,
  log1p,
  neg,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from "./operators/unary.ts";
export type { ClampOptions } from "./operators/unary.ts";
export { expand, flip, pad, repeat, repeatInterleave, split, stack } from "./operators/arrange.ts";
export {
  clone,
  concat,
  convert,
  copyInto,
  fill,
  permute,
  slice,
  transpose,
} from "./operators/layout.ts";
export {
  bernoulli,
  categorical,
  dropout,
  randomBits,
  randomNormal,
  randomPermutation,
  randomUniform,
} from "./operators/random.ts";
export type {
  DropoutOptions,
  RandomNormalOptions,
  RandomUniformOptions,
} from "./operators/random.ts";
export { argsort, cumsum, sort, topK, topKAll } from "./operators/sort.ts";
export type { CumsumOptions, Ranked, SortOptions } from "./operators/sort.ts";
export { jumpReluDense, jumpReluDenseGradient } from "./operators/jump-relu-dense.ts";
export type { JumpReluDenseGradientOptions } from "./operators/jump-relu-dense.ts";
export { addMatmul, linear, matmul, outer } from "./operators/matmul.ts";
export type { ActivationOptions, AddMatmulOptions, MatmulOptions } from "./operators/matmul.ts";
export { adamStep, normalizeRows, removeParallelRows, sgdStep } from "./operators/optimise.ts";
export type { AdamMoments, StepOptions } from "./operators/optimise.ts";
export { orthogonalise } from "./operators/orthogonalise.ts";
export type { OrthogonaliseOptions } from "./operators/orthogonalise.ts";
export { all, any, argmax, argmin } from "./operators/choose.ts";
export type { ArgOptions } from "./operators/choose.ts";
export {
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  sum,
  sumOfSquares,
  variance,
} from "./operators/reduce.ts";
export type { NormOptions, ReduceOptions, VarianceOptions } from "./operators/reduce.ts";
export { clipRowNorms } from "./operators/row-norms.ts";
export { encodeBatchTopK, encodeJumpRelu, encodeTopK } from "./operators/sparse-encode.ts";
export type {
  EncodeBatchTopKOptions,
  EncodeJumpReluOptions,
  EncodeTopKOptions,
  JumpReluEncoding,
} from "./operators/sparse-encode.ts";
export { sparseEncode } from "./operators/sparse-fused.ts";
export type {
  SparseActivation,
  SparseEncodeOptions,
  SparseEncoding,
} from "./operators/sparse-fused.ts";
export { jumpReluGradient, reluGradient } from "./operators/sparse-gradients.ts";
export type { JumpReluGradientOptions } from "./operators/sparse-gradients.ts";
export {
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sparseGather,
  sparseOuterAdd,
  sparseRowL0,
  sparseRowSum,
  sparseScatterAdd,
  sparseSmallest,
  sparseToDense,
} from "./operators/sparse-products.ts";
export { attention } from "./operators/attention.ts";
export type { AttentionOptions } from "./operators/attention.ts";
export { attentionMix, attentionPattern, attentionScores } from "./operators/attention-pattern.ts";
export { embedding, gather, indexAdd, oneHot, scatterAdd, take } from "./operators/indexing.ts";
export { checkIndices, indexTensor } from "./operators/indices.ts";
export type { Indices, IndexTensorOptions } from "./operators/indices.ts";
export { binaryCrossEntropy, crossEntropy, klDivergence, mseLoss } from "./operators/losses.ts";
export type { CrossEntropyOptions, LossOptions, Reduction } from "./operators/losses.ts";
export { layerNorm, layerNormWithScale, rmsNorm, rmsNormWithScale } from "./operators/normalise.ts";
export { rope } from "./operators/position.ts";
export type { RopeOptions } from "./operators/position.ts";
export { ropeFrequencies, ropeTables } from "./operators/rope-tables.ts";
export type {
  DynamicRopeScaling,
  LinearRopeScaling,
  Llama3RopeScaling,
  LongRopeScaling,
  RopeFrequencies,
  RopeFrequencyOptions,
  RopeScaling,
  RopeTableOptions,
  YarnRopeScaling,
} from "./operators/rope-tables.ts";
export { logSoftmax, softmax } from "./operators/softmax.ts";
export type { SoftmaxOptions } from "./operators/softmax.ts";
export { clipByGlobalNorm, globalNorm } from "./optimisers/clip.ts";
export type { ClippedNorm } from "./optimisers/clip.ts";
export { adam, adamW, sgd } from "./optimisers/kinds.ts";
export type { AdamSettings, SgdSettings } from "./optimisers/kinds.ts";
export { muon } from "./optimisers/muon.ts";
export type { MuonSettings } from "./optimisers/muon.ts";
export { Optimiser } from "./optimisers/optimiser.ts";
export type {
  OptimiserOptions,
  OptimiserState,
  ParameterGroup,
  ParameterUpdate,
  RateSettings,
  UpdateRule,
} from "./optimisers/optimiser.ts";
export {
  constantSchedule,
  cosineSchedule,
  linearSchedule,
  scheduleSequence,
  warmUp,
} from "./optimisers/schedules.ts";
export type { CosineOptions, LinearOptions, Schedule } from "./optimisers/schedules.ts";
export { WeightAverage } from "./optimisers/weight-average.ts";
export type { WeightAverageOptions } from "./optimisers/weight-average.ts";
export { createReferenceBackend } from "./reference/backend.ts";
export type { ReferenceBackendOptions } from "./reference/backend.ts";
export { heldTensors } from "./scope.ts";
export type { TensorHolder } from "./scope.ts";
export { StoredWeight } from "./stored-weight.ts";
export type { StoredPiece, StoredWeightOptions } from "./stored-weight.ts";
export { SparseRows } from "./sparse-rows.ts";
export type { SparseOverflow, SparseRowsParts } from "./sparse-rows.ts";
export { Tensor } from "./tensor.ts";
