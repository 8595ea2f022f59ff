import type { AttentionKernels } from "./contract/attention.ts";
import type { ElementwiseKernels } from "./contract/elementwise.ts";
import type { IndexingKernels } from "./contract/indexing.ts";
import type { MatmulKernels } from "./contract/matmul.ts";
import type { MemoryKernels } from "./contract/memory.ts";
import type { NormaliseKernels } from "./contract/normalise.ts";
import type { OptimiseKernels } from "./contract/optimise.ts";
import type { PositionKernels } from "./contract/position.ts";
import type { RandomKernels } from "./contract/random.ts";
import type { ReduceKernels } from "./contract/reduce.ts";
import type { SortKernels } from "./contract/sort.ts";
import type { SparseKernels } from "./contract/sparse.ts";
import type { Slice, Storage } from "./contract/storage.ts";
import type { StoredKernels } from "./contract/stored.ts";

export type {
  AttentionGradientInputs,
  AttentionGradientOutputs,
  AttentionKernels,
  AttentionPlan,
} from "./contract/attention.ts";
export type {
  BinaryOperator,
  CompareOperator,
  ElementwiseKernels,
  GatedActivation,
  LogicalOperator,
  UnaryGradientOperator,
  UnaryOperator,
} from "./contract/elementwise.ts";
export type { AxisPlan, IndexingKernels } from "./contract/indexing.ts";
export type { Activation, MatmulEpilogue, MatmulKernels, MatmulPlan } from "./contract/matmul.ts";
export type { MemoryKernels } from "./contract/memory.ts";
export type { CrossEntropyPlan, NormaliseKernels, NormGradientPlan } from "./contract/normalise.ts";
export type { AdamPlan, OptimiseKernels, SgdPlan } from "./contract/optimise.ts";
export type { PositionKernels, RopePlan } from "./contract/position.ts";
export type { RandomKernels } from "./contract/random.ts";
export type { ReduceKernels, ReduceOperator } from "./contract/reduce.ts";
export type { CumsumPlan, SortKernels } from "./contract/sort.ts";
export type { SparseKernels, SparseRowsSlices } from "./contract/sparse.ts";
export type { Slice, Storage } from "./contract/storage.ts";
export type { StoredActivations, StoredKernels, WeightMatrix } from "./contract/stored.ts";

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
  /** Gives memory of {@link Backend.allocate} or {@link Backend.allocateWeights} back. */
  free(storage: Storage): void;
  /**
   * Memory for weights as they are stored, which only {@link StoredKernels} read. It does not count against what tensors may take,
   * where a backend has room for more. Throws `DeviceError` `DEVICE_OUT_OF_MEMORY`.
   */
  allocateWeights(byteLength: number): Storage;
  /** Copies bytes into memory for weights at once. */
  writeWeights(target: Storage, byteOffset: number, bytes: Uint8Array): void;
  /** Copies host bytes, little-endian elements of the slice's dtype, into the slice at once. */
  write(target: Slice, bytes: Uint8Array): void;
  /** Copies a slice's elements to the host as little-endian bytes of a buffer of their own, after all kernels issued before. */
  read(source: Slice): Promise<Uint8Array<ArrayBuffer>>;
  memory(): MemoryUse;
  /** Ends the backend; its storages are gone. */
  dispose(): void;
}

/** The kernels that a backend must have, a family to a file of `contract/`. */
export interface Kernels
  extends
    AttentionKernels,
    ElementwiseKernels,
    IndexingKernels,
    MatmulKernels,
    MemoryKernels,
    NormaliseKernels,
    OptimiseKernels,
    PositionKernels,
    RandomKernels,
    ReduceKernels,
    SortKernels,
    SparseKernels,
    StoredKernels {}
