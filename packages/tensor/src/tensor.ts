import {
  bytesPerElement,
  checkShape,
  DeviceError,
  type DType,
  DTypeError,
  formatShape,
  fromBf16Bits,
  fromF16Bits,
  type Shape,
  ShapeError,
  sizeOf,
} from "@latentkit/core";
import { differentiable } from "./autograd/differentiable.ts";
import type { Slice } from "./backend.ts";
import type { Device } from "./device.ts";
import { copyInto } from "./operators/layout.ts";
import type { Scope } from "./scope.ts";
import type { SharedStorage } from "./shared-storage.ts";

/**
 * A contiguous, row-major array on a device.
 *
 * Whoever made a tensor disposes it, by `dispose()`, by `using`, or by making it inside `Device.scope`. Views made by
 * {@link Tensor.reshape} and {@link Tensor.rows} share the storage and are disposed on their own.
 */
export class Tensor implements Disposable {
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Number of elements. */
  readonly size: number;
  /** The scope that frees this tensor. @internal */
  owner: Scope | null = null;
  readonly #slice: Slice;
  #shared: SharedStorage | null;

  /** Tensors are made by {@link Device} and by operators. @internal */
  constructor(
    device: Device,
    shared: SharedStorage,
    shape: Shape,
    dtype: DType,
    offset: number,
    size: number,
  ) {
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.size = size;
    this.#slice = { storage: shared.storage, offset, length: size, dtype };
    this.#shared = shared;
    shared.acquire();
    device.track(this);
  }

  get disposed(): boolean {
    return this.#shared === null || this.device.disposed;
  }

  /** The elements as kernels see them. For operators. Throws {@link DeviceError} `TENSOR_DISPOSED`. @internal */
  get slice(): Slice {
    if (this.#shared === null || this.device.disposed) throw this.#disposedError();
    return this.#slice;
  }

  /** Whether this is the only handle to its memory, and all of the memory is its elements. @internal */
  get exclusive(): boolean {
    const shared = this.#shared;
    if (shared === null || shared.references !== 1) return false;
    return shared.storage.byteLength <= Math.max(1, this.size * bytesPerElement(this.dtype));
  }

  /** Copies the elements to the host as f32; f16 and bf16 are widened. Throws {@link DTypeError} for i32 and u8. */
  async floats(): Promise<Float32Array<ArrayBuffer>> {
    const { dtype, shape } = this;
    if (dtype === "i32" || dtype === "u8") {
      throw new DTypeError({
        code: "DTYPE_MISMATCH",
        message: `floats() was called on a tensor of dtype ${dtype} and shape ${formatShape(shape)}; it reads f32, f16 and bf16`,
        fix: "call integers()",
      });
    }
    const bytes = await this.#read();
    if (dtype === "f32") return new Float32Array(bytes.buffer);
    const widen = dtype === "f16" ? fromF16Bits : fromBf16Bits;
    return Float32Array.from(new Uint16Array(bytes.buffer), widen);
  }

  /** Copies the elements to the host as i32. Throws {@link DTypeError} unless the dtype is i32 or u8. */
  async integers(): Promise<Int32Array<ArrayBuffer>> {
    const { dtype, shape } = this;
    if (dtype !== "i32" && dtype !== "u8") {
      throw new DTypeError({
        code: "DTYPE_MISMATCH",
        message: `integers() was called on a tensor of dtype ${dtype} and shape ${formatShape(shape)}; it reads i32 and u8`,
        fix: "call floats()",
      });
    }
    const bytes = await this.#read();
    return dtype === "i32" ? new Int32Array(bytes.buffer) : Int32Array.from(bytes);
  }

  /** The only element of a tensor of size 1. Throws {@link ShapeError} for any other size. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new ShapeError({
        code: "SHAPE_MISMATCH",
        message: `item() was called on a tensor of shape ${formatShape(this.shape)}; it reads tensors of one element`,
        fix: "call floats() or integers(), or reduce the tensor first",
      });
    }
    const values =
      this.dtype === "i32" || this.dtype === "u8" ? await this.integers() : await this.floats();
    return values[0] ?? Number.NaN;
  }

  /** A view of the same elements under another shape of the same size. */
  reshape(shape: Shape): Tensor {
    checkShape(shape, "reshape");
    if (sizeOf(shape) !== this.size) {
      throw new ShapeError({
        code: "SHAPE_MISMATCH",
        message: `reshape from ${formatShape(this.shape)} to ${formatShape(shape)} changes the number of elements`,
        fix: `give a shape of ${this.size} elements`,
      });
    }
    return differentiable(this.#view(shape, 0, this.size), {
      operator: "reshape",
      inputs: [this],
      rule: (gradient) => [gradient.reshape(this.shape)],
    });
  }

  /** A second handle to the same elements, disposed on its own. It has no gradient of its own: for holders of memory. @internal */
  alias(): Tensor {
    return this.#view(this.shape, 0, this.size);
  }

  /** A view of `start .. end` (exclusive) along the first axis. */
  rows(start: number, end: number): Tensor {
    const [count, ...rest] = this.shape;
    if (
      count === undefined ||
      !Number.isInteger(start) ||
      !Number.isInteger(end) ||
      start < 0 ||
      end < start ||
      end > count
    ) {
      throw new ShapeError({
        code: "SHAPE_RANGE",
        message: `rows(${start}, ${end}) does not lie within shape ${formatShape(this.shape)}`,
        fix: "give integers with 0 <= start <= end <= the first size",
      });
    }
    const rowSize = sizeOf(rest);
    return differentiable(
      this.#view([end - start, ...rest], start * rowSize, (end - start) * rowSize),
      {
        operator: "rows",
        inputs: [this],
        rule: (gradient) => {
          const whole = this.device.zeros(this.shape);
          copyInto(gradient, whole, { axis: 0, start });
          return [whole];
        },
      },
    );
  }

  /** Gives the storage back once no other view needs it. A second call does nothing. */
  dispose(): void {
    if (this.#shared === null) return;
    const shared = this.#shared;
    this.#shared = null;
    this.owner?.remove(this);
    shared.release(!this.device.disposed);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #view(shape: Shape, offset: number, size: number): Tensor {
    if (this.#shared === null || this.device.disposed) throw this.#disposedError();
    return new Tensor(
      this.device,
      this.#shared,
      shape,
      this.dtype,
      this.#slice.offset + offset,
      size,
    );
  }

  async #read(): Promise<Uint8Array<ArrayBuffer>> {
    const source = this.slice;
    return source.length === 0 ? new Uint8Array(0) : this.device.backend.read(source);
  }

  #disposedError(): DeviceError {
    const what = `tensor of shape ${formatShape(this.shape)} and dtype ${this.dtype}`;
    if (this.#shared !== null) {
      return new DeviceError({
        code: "DEVICE_DISPOSED",
        message: `a ${what} was used after its device was disposed`,
        fix: "read what you need before disposing the device",
      });
    }
    return new DeviceError({
      code: "TENSOR_DISPOSED",
      message: `a ${what} was used after it was disposed`,
      fix: "dispose it later, or return it from the scope that freed it (or Device.keep it)",
    });
  }
}
