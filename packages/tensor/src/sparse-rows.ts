import { ConfigError, formatShape, internalFault } from "@latentkit/core";
import type { SparseRowsSlices } from "./backend.ts";
import { floats, integers, requireShape, requireValue, sameDevice } from "./checks.ts";
import type { Device } from "./device.ts";
import { heldTensors, type TensorHolder } from "./scope.ts";
import type { Tensor } from "./tensor.ts";

/** What a {@link SparseRows} is made of. */
export interface SparseRowsParts {
  /** Columns of the matrix that the rows were taken from (d_sae). */
  readonly width: number;
  /** i32 [rows]: entries of each row, at most the capacity unless the row overflowed. */
  readonly counts: Tensor;
  /** i32 [rows, capacity]: latents, ascending within a row. */
  readonly indices: Tensor;
  /** f32 [rows, capacity]: activations, 0 for entries kept for their gradient alone. */
  readonly values: Tensor;
}

/** Rows that had more entries than they could keep: what {@link SparseRows.overflow} finds. */
export interface SparseOverflow {
  /** How many rows lost entries. */
  readonly rows: number;
  /** How many entries were lost in all. */
  readonly entries: number;
  /** The capacity that would have sufficed: the largest count. */
  readonly capacityNeeded: number;
}

/**
 * Rows of a wide matrix of which only a few entries are kept: the activations of an SAE's latents. Owns its three tensors.
 *
 * What lies beyond a row's count is undefined. A count above the capacity says that the row had more entries than it could
 * keep; every operator then uses the `capacity` first. {@link SparseRows.overflow} looks, {@link SparseRows.requireComplete} insists.
 *
 * To gradients the rows are their `values`: an encoder's gradient comes through that tensor, and `sparseDecode`, `sparseDot`,
 * `sparseToDense` and `sparseRowSum` hand theirs to it. Which latents a row keeps has no gradient. Where gradients are recorded,
 * values beyond a row's count are 0, so that ordinary operators (a penalty on the values, say) may be applied to them too.
 */
export class SparseRows implements Disposable, TensorHolder {
  readonly device: Device;
  readonly rows: number;
  readonly width: number;
  /** Entries that each row has room for. */
  readonly capacity: number;
  readonly counts: Tensor;
  readonly indices: Tensor;
  readonly values: Tensor;

  /** Takes ownership of the tensors. Throws `ShapeError` unless they fit together. */
  constructor({ width, counts, indices, values }: SparseRowsParts) {
    integers("SparseRows", counts, "counts");
    integers("SparseRows", indices, "indices");
    floats("SparseRows", values, "values");
    sameDevice("SparseRows", counts, indices);
    sameDevice("SparseRows", counts, values);
    const [rows = 0, capacity = 0] = indices.shape;
    requireShape("SparseRows", "indices", indices.shape, [rows, capacity], "as [rows, capacity]");
    requireShape(
      "SparseRows",
      "values",
      values.shape,
      [rows, capacity],
      `as indices of shape ${formatShape(indices.shape)}`,
    );
    requireShape(
      "SparseRows",
      "counts",
      counts.shape,
      [rows],
      `for indices of shape ${formatShape(indices.shape)}`,
    );
    requireValue(
      Number.isInteger(width) && width >= 0,
      "SparseRows",
      "width",
      width,
      "a non-negative integer",
    );
    this.device = counts.device;
    this.rows = rows;
    this.width = width;
    this.capacity = capacity;
    this.counts = counts;
    this.indices = indices;
    this.values = values;
  }

  /** Counts, indices and values as a rule gets them from its saved tensors. Owned by the tape: not to be disposed. @internal */
  static of(width: number, saved: readonly Tensor[]): SparseRows {
    const [counts, indices, values] = saved;
    if (counts === undefined || indices === undefined || values === undefined)
      throw internalFault("sparse rows are made of three tensors");
    return new SparseRows({ width, counts, indices, values });
  }

  /** Other values at the same places; counts and indices are shared, and only one of the two may be disposed. @internal */
  withValues(values: Tensor): SparseRows {
    return new SparseRows({
      width: this.width,
      counts: this.counts,
      indices: this.indices,
      values,
    });
  }

  /** Whether rows had more entries than they could keep: null where none had. Reads the counts. */
  async overflow(): Promise<SparseOverflow | null> {
    let rows = 0;
    let entries = 0;
    let capacityNeeded = 0;
    for (const count of await this.counts.integers()) {
      capacityNeeded = Math.max(capacityNeeded, count);
      if (count <= this.capacity) continue;
      rows++;
      entries += count - this.capacity;
    }
    return rows === 0 ? null : { rows, entries, capacityNeeded };
  }

  /** Throws `ConfigError` `SPARSE_OVERFLOW` where {@link SparseRows.overflow} finds something. */
  async requireComplete(): Promise<void> {
    const lost = await this.overflow();
    if (lost === null) return;
    throw new ConfigError({
      code: "SPARSE_OVERFLOW",
      message: `${lost.rows} of ${this.rows} sparse rows had more than ${this.capacity} entries and lost ${lost.entries} in all`,
      fix: `give a capacity of ${lost.capacityNeeded} or more`,
    });
  }

  /** The rows as kernels see them. For operators. @internal */
  slices(): SparseRowsSlices {
    const { rows, width, capacity } = this;
    return {
      rows,
      width,
      capacity,
      counts: this.counts.slice,
      indices: this.indices.slice,
      values: this.values.slice,
    };
  }

  /** Names the tensors to `Device.scope`. */
  [heldTensors](): Iterable<Tensor> {
    return [this.counts, this.indices, this.values];
  }

  dispose(): void {
    this.counts.dispose();
    this.indices.dispose();
    this.values.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
