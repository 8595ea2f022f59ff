import {
  bytesPerElement,
  checkShape,
  DeviceError,
  type DType,
  formatShape,
  type Shape,
  ShapeError,
  sizeOf,
  type StoredFormat,
} from "@latentkit/core";
import type { Observer, Recorder } from "./autograd/recorder.ts";
import type { Backend, BackendInfo, MemoryUse } from "./backend.ts";
import { Scope, type Scoped } from "./scope.ts";
import { SharedStorage } from "./shared-storage.ts";
import {
  allocateStored,
  storedBytesError,
  type StoredPiece,
  type StoredWeight,
  type StoredWeightOptions,
} from "./stored-weight.ts";
import { Tensor } from "./tensor.ts";

/** Host data from which a tensor can be made; the dtype follows from the array: f32, i32, u8, and f32 for plain arrays. */
export type TensorData = Float32Array | Int32Array | Uint8Array | readonly number[];

/** A backend and the tensors on it. */
export class Device implements Disposable {
  readonly backend: Backend;
  #scope: Scope | null = null;
  #tape: Recorder | null = null;
  #observer: Observer | null = null;
  #differentiating = false;
  #disposed = false;

  /** Takes ownership of the backend: disposing the device disposes it. */
  constructor(backend: Backend) {
    this.backend = backend;
  }

  get info(): BackendInfo {
    return this.backend.info;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Copies host data to the device. Throws {@link ShapeError} unless the shape has as many elements as the data. */
  tensor(data: TensorData, shape: Shape): Tensor {
    const array =
      data instanceof Float32Array || data instanceof Int32Array || data instanceof Uint8Array
        ? data
        : Float32Array.from(data);
    const dtype: DType =
      array instanceof Float32Array ? "f32" : array instanceof Int32Array ? "i32" : "u8";
    return this.fromBytes(
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
      shape,
      dtype,
    );
  }

  /** Copies little-endian bytes of the given dtype to the device. */
  fromBytes(bytes: Uint8Array, shape: Shape, dtype: DType): Tensor {
    checkShape(shape, "tensor");
    const expected = sizeOf(shape) * bytesPerElement(dtype);
    if (bytes.byteLength !== expected) {
      throw new ShapeError({
        code: "SHAPE_DATA",
        message: `shape ${formatShape(shape)} of ${dtype} takes ${expected} bytes (${sizeOf(shape)} elements), but the data has ${bytes.byteLength} (${bytes.byteLength / bytesPerElement(dtype)} elements)`,
        fix: "give as many elements as the shape has",
      });
    }
    const tensor = this.empty(shape, dtype);
    if (expected > 0) this.backend.write(tensor.slice, bytes);
    return tensor;
  }

  zeros(shape: Shape, dtype: DType = "f32"): Tensor {
    return this.#filled(shape, dtype, 0);
  }

  /** An f32 tensor whose elements are all `value`. */
  full(shape: Shape, value: number): Tensor {
    return this.#filled(shape, "f32", value);
  }

  /** A tensor whose elements are whatever the memory held. */
  empty(shape: Shape, dtype: DType = "f32"): Tensor {
    checkShape(shape, "tensor");
    if (this.#disposed) {
      throw new DeviceError({
        code: "DEVICE_DISPOSED",
        message: `a tensor of shape ${formatShape(shape)} was asked of a disposed device`,
        fix: "open a new device",
      });
    }
    const size = sizeOf(shape);
    // At least one byte, so that every storage of a backend has its own address.
    const storage = this.backend.allocate(Math.max(1, size * bytesPerElement(dtype)));
    return new Tensor(this, new SharedStorage(this.backend, storage), shape, dtype, 0, size);
  }

  /**
   * Copies a matrix `[out, in]` to the device as it is stored, see {@link StoredWeight}.
   *
   * Throws {@link ShapeError} `STORED_BLOCKS` where rows are not whole blocks of the format, `SHAPE_DATA` for bytes that are not
   * those of the shape, and {@link DeviceError} `DEVICE_OUT_OF_MEMORY`.
   */
  storedWeight(
    bytes: Uint8Array,
    shape: Shape,
    format: StoredFormat,
    options: StoredWeightOptions = {},
  ): StoredWeight {
    const { weight, write } = allocateStored(this, shape, format, options);
    try {
      if (bytes.byteLength !== weight.byteLength)
        throw storedBytesError(shape, format, bytes.byteLength);
      write({ byteOffset: 0, bytes });
      return weight;
    } catch (error) {
      weight.dispose();
      throw error;
    }
  }

  /**
   * The same in pieces, as they are read: no more than one piece is in host memory. The weight belongs to no scope. Throws as
   * {@link Device.storedWeight} does, and whatever `pieces` throws; nothing is kept then.
   */
  async streamStoredWeight(
    pieces: AsyncIterable<StoredPiece>,
    shape: Shape,
    format: StoredFormat,
    options: StoredWeightOptions = {},
  ): Promise<StoredWeight> {
    const { weight, write } = allocateStored(this, shape, format, options);
    this.keep(weight);
    try {
      let written = 0;
      for await (const piece of pieces) {
        write(piece);
        written += piece.bytes.byteLength;
      }
      if (written !== weight.byteLength) throw storedBytesError(shape, format, written);
      return weight;
    } catch (error) {
      weight.dispose();
      throw error;
    }
  }

  memory(): MemoryUse {
    return this.backend.memory();
  }

  /**
   * Runs `run` and frees every tensor that was made meanwhile, except those in its result: tensors, holders such as
   * `SparseRows`, and arrays, maps, sets and plain objects of them. Scopes nest: what survives the inner one belongs to the
   * outer one. When `run` throws, all are freed.
   *
   * Throws {@link DeviceError} `SCOPE_ASYNC` if `run` returns a promise: tensors of other tasks would be freed as well.
   */
  scope<T>(run: () => T): T {
    const scope = new Scope(this.#scope);
    this.#scope = scope;
    try {
      const result = run();
      if (isThenable(result)) {
        throw new DeviceError({
          code: "SCOPE_ASYNC",
          message: "a scope's function returned a promise; scopes are synchronous",
          fix: "return the tensors from the scope and await their values outside",
        });
      }
      scope.close(result);
      return result;
    } catch (error) {
      scope.free();
      throw error;
    } finally {
      this.#scope = scope.parent;
    }
  }

  /** The tape on which operators record themselves, null for none. @internal */
  get tape(): Recorder | null {
    return this.#tape;
  }

  /** Runs `run` with another tape open, or with none. @internal */
  withTape<T>(tape: Recorder | null, run: () => T): T {
    const outer = this.#tape;
    this.#tape = tape;
    try {
      return run();
    } finally {
      this.#tape = outer;
    }
  }

  /** Whether gradient rules are running. @internal */
  get differentiating(): boolean {
    return this.#differentiating;
  }

  /** Runs `run`, which applies gradient rules, with no tape open. @internal */
  differentiate<T>(run: () => T): T {
    const outer = this.#differentiating;
    this.#differentiating = true;
    try {
      return this.withTape(null, run);
    } finally {
      this.#differentiating = outer;
    }
  }

  /** Who hears of every operator, null for nobody. @internal */
  get observer(): Observer | null {
    return this.#observer;
  }

  /** Runs `run` while `observer` hears of every operator; null for nobody. @internal */
  withObserver<T>(observer: Observer | null, run: () => T): T {
    const outer = this.#observer;
    this.#observer = observer;
    try {
      return run();
    } finally {
      this.#observer = outer;
    }
  }

  /** Takes a tensor or stored weight out of all open scopes: from now on the caller disposes it. */
  keep<T extends Scoped>(tensor: T): T {
    tensor.owner?.remove(tensor);
    return tensor;
  }

  /** Enters a new tensor or stored weight into the open scope. @internal */
  track(made: Scoped): void {
    this.#scope?.add(made);
  }

  /** Ends the device and its backend; its tensors are gone. A second call does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.backend.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #filled(shape: Shape, dtype: DType, value: number): Tensor {
    const tensor = this.empty(shape, dtype);
    if (tensor.size > 0) this.backend.kernels.fill(tensor.slice, value);
    return tensor;
  }
}

function isThenable(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}
