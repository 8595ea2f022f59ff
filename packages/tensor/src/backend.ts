import type { DType } from "@latentkit/core";

/** A block of device memory. Each backend has its own subtype; nobody else looks inside. */
export interface Storage {
  readonly byteLength: number;
}

/** A contiguous run of elements inside a {@link Storage}: what kernels read and write. */
export interface Slice {
  readonly storage: Storage;
  /** In elements of `dtype`. */
  readonly offset: number;
  /** In elements of `dtype`. */
  readonly length: number;
  readonly dtype: DType;
}

/** Bytes of device memory in use, exact. */
export interface MemoryUse {
  readonly liveBytes: number;
  readonly peakBytes: number;
}

/** What made a result, recorded in manifests and checkpoints: results are bit-exact only when all of it is the same. */
export interface BackendInfo {
  /** `"cpu"`, `"reference"`, `"webgpu"`. For people and manifests; operators never branch on it. */
  readonly name: string;
  /** Who computes matrix products, for example `"openblas 0.3.21 (SkylakeX)"` or `"wasm"`. */
  readonly matmul: string;
  readonly threads: number;
  /** Hash or version of the kernels. */
  readonly build: string;
}

/**
 * One device's implementation of the kernels. A backend is an object of this interface and nothing more.
 *
 * Kernels are issued in order and may run later; only {@link Backend.read} waits. A kernel trusts its arguments: shapes and
 * dtypes are checked by the operators that call it. Outputs never overlap inputs unless a kernel says that they may.
 */
export interface Backend {
  readonly info: BackendInfo;
  readonly kernels: Kernels;
  /** Memory of at least `byteLength` bytes, not cleared. Throws `DeviceError` `DEVICE_OUT_OF_MEMORY`. */
  allocate(byteLength: number): Storage;
  free(storage: Storage): void;
  /** Copies host bytes into the storage at once. */
  write(storage: Storage, byteOffset: number, bytes: Uint8Array): void;
  /** Copies device bytes to the host, after all kernels issued before. */
  read(storage: Storage, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>>;
  memory(): MemoryUse;
  /** Ends the backend; its storages are gone. */
  dispose(): void;
}

export type UnaryOperator =
  | "abs"
  | "exp"
  | "gelu"
  | "geluTanh"
  | "log"
  | "neg"
  | "relu"
  | "rsqrt"
  | "sigmoid"
  | "silu"
  | "sqrt"
  | "square"
  | "tanh";

export type BinaryOperator = "add" | "div" | "max" | "min" | "mul" | "sub";

export type ReduceOperator = "max" | "mean" | "sum" | "sumOfSquares";

/** `out[i] = alpha * op(a[i]) @ op(b[i]) + beta * out[i]` for i below `batch`; matrices are row-major. */
export interface MatmulPlan {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether `a` is stored as [k, m] instead of [m, k]. */
  readonly transposeA: boolean;
  /** Whether `b` is stored as [n, k] instead of [k, n] (as PyTorch stores `Linear.weight`). */
  readonly transposeB: boolean;
  /** Elements from one stored row to the next. */
  readonly rowStrideA: number;
  readonly rowStrideB: number;
  readonly rowStrideOut: number;
  /** Elements from one batch entry to the next; 0 repeats the same matrix. */
  readonly batchStrideA: number;
  readonly batchStrideB: number;
  readonly batchStrideOut: number;
  readonly alpha: number;
  readonly beta: number;
}

/** Attention over contiguous `q [batch, qLength, heads, dHead]` and `k, v [batch, kCapacity, kvHeads, dHead]`. */
export interface AttentionPlan {
  readonly batch: number;
  readonly qLength: number;
  /** Keys in use, the cached ones and the new; query row i sees keys 0 .. kLength - qLength + i. */
  readonly kLength: number;
  /** Rows that `k` and `v` have room for per batch entry (the KV cache's capacity); at least `kLength`. */
  readonly kCapacity: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly scale: number;
}

/** Adam (Kingma and Ba, 2014) with bias correction; `weightDecay` is decoupled (AdamW), 0 for none. */
export interface AdamPlan {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** 1 for the first update. */
  readonly step: number;
}

/**
 * Sparse rows in padded form: row r has `counts[r]` entries at `r * capacity ..`, so that every row has its own place and
 * no device needs a prefix sum. Entries of a row are in ascending order of latent index.
 */
export interface SparseRowsSlices {
  readonly rows: number;
  /** Columns of the matrix that the rows were taken from (d_sae). */
  readonly width: number;
  /** Entries that a row has room for. */
  readonly capacity: number;
  /** i32 `[rows]`. */
  readonly counts: Slice;
  /** i32 `[rows, capacity]`. */
  readonly indices: Slice;
  /** f32 `[rows, capacity]`: the latent's activation, 0 where the entry is kept for its gradient alone. */
  readonly values: Slice;
}

/** The kernels that a backend must have. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface Kernels {
  // ---- memory ----
  fill(out: Slice, value: number): void;
  /** Copies between slices of one dtype, or widens f16 and bf16 to f32 and narrows f32 to them (nearest, ties to even). */
  convert(x: Slice, out: Slice): void;
  /** Gathers by strides: `out` is contiguous over `shape`, element (i, j, ..) is read at sum(index * strides), in elements. */
  stridedRead(x: Slice, shape: readonly number[], strides: readonly number[], out: Slice): void;
  /** The reverse of {@link Kernels.stridedRead}: `x` is contiguous over `shape`, and written into `out` by strides. */
  stridedWrite(x: Slice, shape: readonly number[], strides: readonly number[], out: Slice): void;

  // ---- elementwise; `out` may be an input ----
  unary(operator: UnaryOperator, x: Slice, out: Slice): void;
  /** Broadcast by strides in elements (0 repeats) over the output's `shape`. `out` may be an input of the same strides. */
  binary(
    operator: BinaryOperator,
    a: Slice,
    aStrides: readonly number[],
    b: Slice,
    bStrides: readonly number[],
    out: Slice,
    shape: readonly number[],
  ): void;
  /** `out = x * factor + bias`. */
  affine(x: Slice, factor: number, bias: number, out: Slice): void;
  /** `out = silu(gate) * up`, the gated MLP of the Llama family. */
  siluMul(gate: Slice, up: Slice, out: Slice): void;

  // ---- reductions over the middle of [outer, axis, inner]; sums are accumulated pairwise or in f64 ----
  reduce(
    operator: ReduceOperator,
    x: Slice,
    outer: number,
    axis: number,
    inner: number,
    out: Slice,
  ): void;
  /** i32 index of each row's largest element, the first of equals. */
  argmaxRows(x: Slice, rows: number, columns: number, out: Slice): void;
  /** Each row's k largest, in descending order; of equals the lower index first. */
  topKRows(x: Slice, rows: number, columns: number, k: number, values: Slice, indices: Slice): void;

  // ---- matrix products ----
  matmul(a: Slice, b: Slice, out: Slice, plan: MatmulPlan): void;

  // ---- transformer ----
  /** `out[r] = table[ids[r]]`; the table is f32, f16 or bf16. */
  embedding(table: Slice, ids: Slice, rows: number, columns: number, out: Slice): void;
  /** `scale[r] = sqrt(mean(x[r]^2) + epsilon)`, `out[r] = x[r] / scale[r] * weight`; weight and scale may be null. */
  rmsNorm(
    x: Slice,
    weight: Slice | null,
    rows: number,
    columns: number,
    epsilon: number,
    out: Slice,
    scale: Slice | null,
  ): void;
  /**
   * Rotary embedding in place on `x [tokens, heads, dHead]`, pairs (i, i + dHead/2) as Hugging Face's `rotate_half` has them.
   * `cos` and `sin` are `[positions, dHead/2]`; `positions` i32 `[tokens]` picks the row.
   */
  rope(
    x: Slice,
    cos: Slice,
    sin: Slice,
    positions: Slice,
    tokens: number,
    heads: number,
    dHead: number,
  ): void;
  /** Causal attention with grouped queries, softmax inside; `out [batch, qLength, heads, dHead]`. */
  attention(q: Slice, k: Slice, v: Slice, out: Slice, plan: AttentionPlan): void;
  /** Row softmax with the maximum subtracted. `out` may be `x`. */
  softmaxRows(x: Slice, rows: number, columns: number, out: Slice): void;
  logSoftmaxRows(x: Slice, rows: number, columns: number, out: Slice): void;
  /** `out[r] = logsumexp(logits[r]) - logits[r][targets[r]]` in nats; a negative target gives 0. */
  crossEntropyRows(logits: Slice, targets: Slice, rows: number, columns: number, out: Slice): void;

  // ---- sparse autoencoders ----
  /**
   * Keeps each row's k largest of `pre [rows, width]` (of those with `allowed[i] != 0`, i32 `[width]`, if given), then ReLU.
   * `counts` = k, or the number of allowed latents where there are fewer. Of equals the lower latent is kept.
   */
  sparsifyTopK(pre: Slice, k: number, allowed: Slice | null, out: SparseRowsSlices): void;
  /**
   * Keeps entries that fire (`pre > threshold[i]`, strictly) or whose threshold has a gradient (`|pre - threshold[i]| <
   * bandwidth / 2`); `values` = pre where it fires, else 0; `preActivations [rows, capacity]` = pre. A row with more entries
   * than `capacity` keeps the first ones, and its count says how many there were.
   */
  sparsifyJumpRelu(
    pre: Slice,
    threshold: Slice,
    bandwidth: number,
    out: SparseRowsSlices,
    preActivations: Slice,
  ): void;
  /** `out[r] = bias + sum_e values[e] * weight[indices[e]]`, weight `[width, columns]`; bias may be null. */
  sparseDecode(
    rows: SparseRowsSlices,
    weight: Slice,
    bias: Slice | null,
    columns: number,
    out: Slice,
  ): void;
  /** For each entry: `out[e] = dot(weight[indices[e]], x[row])`, the gradient of {@link Kernels.sparseDecode} to its values. */
  sparseDot(rows: SparseRowsSlices, weight: Slice, x: Slice, columns: number, out: Slice): void;
  /** For each entry: `out[indices[e]] += coefficients[e] * x[row]`, out `[width, columns]`: its gradient to the weight. */
  sparseOuterAdd(
    rows: SparseRowsSlices,
    coefficients: Slice,
    x: Slice,
    columns: number,
    out: Slice,
  ): void;
  /** For each entry: `out[indices[e]] += coefficients[e]`, out `[width]`. */
  sparseScatterAdd(rows: SparseRowsSlices, coefficients: Slice, out: Slice): void;
  /** For each entry with value > 0: `out[indices[e]] += 1`; out is i32 `[width]`. */
  sparseCountFiring(rows: SparseRowsSlices, out: Slice): void;
  /** `out[r]` = number of entries with value > 0, as f32. */
  sparseRowL0(rows: SparseRowsSlices, out: Slice): void;
  /** Writes the rows into a dense `[rows, width]` matrix, zeros elsewhere. */
  sparseToDense(rows: SparseRowsSlices, out: Slice): void;
  /** `dPre[e] = dValues[e]` where `values[e] > 0`, else 0: ReLU's and TopK's gradient. */
  reluGradient(rows: SparseRowsSlices, dValues: Slice, dPre: Slice): void;
  /**
   * JumpReLU's pseudo-gradients (2407.14435, section 3), rectangle kernel K of the given bandwidth eps:
   * `dPre[e] = dValues[e] * H(pre - theta)`;
   * `dThreshold[i] += sum_e -(theta/eps) K((pre - theta)/eps) dValues[e] - (sparsity/eps) K((pre - theta)/eps)`,
   * where `sparsity` is the loss's gradient to each ||f||_0 (lambda over the batch size).
   */
  jumpReluGradient(
    rows: SparseRowsSlices,
    preActivations: Slice,
    threshold: Slice,
    bandwidth: number,
    sparsity: number,
    dValues: Slice,
    dPre: Slice,
    dThreshold: Slice,
  ): void;

  /**
   * {@link Kernels.sparsifyJumpRelu} where so many latents fire that matrix products are faster than sparse rows:
   * `out [rows, width]` = pre where it fires (`pre > threshold[i]`, strictly), else 0; `fired[i] += 1`, i32 `[width]`, for each.
   */
  jumpReluDense(
    pre: Slice,
    threshold: Slice,
    rows: number,
    width: number,
    out: Slice,
    fired: Slice,
  ): void;
  /** {@link Kernels.jumpReluGradient} of dense `[rows, width]` matrices; `dPre` may be `dValues`. */
  jumpReluDenseGradient(
    pre: Slice,
    threshold: Slice,
    rows: number,
    width: number,
    bandwidth: number,
    sparsity: number,
    dValues: Slice,
    dPre: Slice,
    dThreshold: Slice,
  ): void;

  // ---- optimisation ----
  /** Updates `parameter` and both moments in place. With `beta1` = 0 the first moment is not touched and may be empty. */
  adam(
    parameter: Slice,
    gradient: Slice,
    firstMoment: Slice,
    secondMoment: Slice,
    plan: AdamPlan,
  ): void;
  /** Divides each row by its L2 norm (rows of norm 0 stay), in place. */
  normalizeRows(x: Slice, rows: number, columns: number): void;
  /** `gradient[r] -= (gradient[r] . u) u` with u = weight[r] / ||weight[r]||, in place. */
  removeParallelRows(gradient: Slice, weight: Slice, rows: number, columns: number): void;
}
