import {
  bytesPerElement,
  checkShape,
  DeviceError,
  type DType,
  formatShape,
  type Shape,
  ShapeError,
  sizeOf,
} from "@latentkit/core";
import type { Backend, BackendInfo, MemoryUse, Storage } from "./backend.ts";
import { Scope } from "./scope.ts";
import { SharedStorage } from "./shared-storage.ts";
import { Tensor } from "./tensor.ts";

/** Host data from which a tensor can be made; the dtype follows from the array: f32, i32, u8, and f32 for plain arrays. */
export type TensorData = Float32Array | Int32Array | Uint8Array | readonly number[];

/** A backend and the tensors on it. */
export class Device implements Disposable {
  readonly backend: Backend;
  #scope: Scope | null = null;
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
    const { storage } = tensor.slice;
    if (expected > 0) this.backend.write(storage, 0, bytes);
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

  /** Takes a tensor out of all open scopes: from now on the caller disposes it. */
  keep(tensor: Tensor): Tensor {
    tensor.owner?.remove(tensor);
    return tensor;
  }

  /** Enters a new tensor into the open scope. @internal */
  track(tensor: Tensor): void {
    this.#scope?.add(tensor);
  }

  /** Reads device bytes into a buffer of their own. @internal */
  async readBytes(
    storage: Storage,
    byteOffset: number,
    byteLength: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (byteLength === 0) return new Uint8Array(0);
    const bytes = await this.backend.read(storage, byteOffset, byteLength);
    return bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength
      ? bytes
      : bytes.slice();
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
