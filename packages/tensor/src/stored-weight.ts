import {
  DeviceError,
  formatShape,
  type Shape,
  ShapeError,
  storedBlock,
  type StoredFormat,
} from "@latentkit/core";
import type { StoredActivations, WeightMatrix } from "./backend.ts";
import type { Device } from "./device.ts";
import type { Scope } from "./scope.ts";
import { SharedStorage } from "./shared-storage.ts";
import type { Tensor } from "./tensor.ts";

/** Options of `Device.storedWeight`. */
export interface StoredWeightOptions {
  /**
   * `"i16"` lets products of a quantised weight round the other factor to 16 bits, for each 32 neighbours on a scale of their own:
   * faster, and off (`"f32"`) by default. Each product's error is at most `sum_b (s_b / 2) sum_i |w_bi|` with s_b the largest
   * magnitude of block b over 32,767, besides the rounding of f32. The CPU backend rounds where up to six vectors meet the weight
   * at once, as in generation. Gradients are not affected.
   */
  readonly activations?: StoredActivations | undefined;
}

/**
 * A weight matrix `[out, in]` on a device in the format that it was stored in, never changed. `linear` and `embedding` take it in
 * place of a tensor and read the stored bytes: a matrix of `q4_1` moves 5 bits a weight instead of 32. The gradient of `linear`
 * to its input reads it likewise; there is no gradient to the weight itself.
 *
 * Made by `Device.storedWeight` or `Device.streamStoredWeight`. Owned like a tensor: whoever made it disposes it, or a scope. It
 * must live until gradients through it have been taken.
 */
export class StoredWeight implements Disposable {
  readonly device: Device;
  /** `[out, in]`. */
  readonly shape: readonly [rows: number, columns: number];
  readonly format: StoredFormat;
  readonly activations: StoredActivations;
  /** Bytes as stored. */
  readonly byteLength: number;
  /** The scope that frees this weight. @internal */
  owner: Scope | null = null;
  readonly #byteOffset: number;
  #shared: SharedStorage | null;

  /** Made by {@link Device}. @internal */
  constructor(
    device: Device,
    shared: SharedStorage,
    shape: readonly [number, number],
    format: StoredFormat,
    activations: StoredActivations,
    byteOffset: number,
  ) {
    this.device = device;
    this.shape = shape;
    this.format = format;
    this.activations = activations;
    this.byteLength = storedByteLength(shape, format);
    this.#byteOffset = byteOffset;
    this.#shared = shared;
    shared.acquire();
    device.track(this);
  }

  get disposed(): boolean {
    return this.#shared === null || this.device.disposed;
  }

  /** The matrix as kernels see it. Throws {@link DeviceError} `TENSOR_DISPOSED`. @internal */
  get matrix(): WeightMatrix {
    const [rows, columns] = this.shape;
    const { format, activations } = this;
    const { storage } = this.#live();
    return { storage, byteOffset: this.#byteOffset, rows, columns, format, activations };
  }

  /** All of it as an f32 tensor `[out, in]`, 4 bytes a weight. The caller disposes it. */
  dequantize(): Tensor {
    const { matrix } = this;
    const out = this.device.empty(this.shape);
    if (out.size > 0) this.device.backend.kernels.dequantizeRows(matrix, 0, matrix.rows, out.slice);
    return out;
  }

  /** The rows `start .. end` (exclusive): a weight of its own that shares the memory. Throws {@link ShapeError}. */
  rows(start: number, end: number): StoredWeight {
    const [count, columns] = this.shape;
    if (
      !Number.isInteger(start) ||
      !Number.isInteger(end) ||
      start < 0 ||
      end < start ||
      end > count
    )
      throw new ShapeError({
        code: "SHAPE_RANGE",
        message: `rows(${start}, ${end}) does not lie within shape ${formatShape(this.shape)}`,
        fix: "give integers with 0 <= start <= end <= the first size",
      });
    const offset = this.#byteOffset + storedByteLength([start, columns], this.format);
    const { device, format, activations } = this;
    return new StoredWeight(
      device,
      this.#live(),
      [end - start, columns],
      format,
      activations,
      offset,
    );
  }

  /** A second handle to the same bytes, disposed on its own. */
  alias(): StoredWeight {
    return this.rows(0, this.shape[0]);
  }

  /** Gives the bytes back once no other handle needs them. A second call does nothing. */
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

  #live(): SharedStorage {
    if (this.#shared !== null && !this.device.disposed) return this.#shared;
    const gone = this.#shared === null ? "it" : "its device";
    throw new DeviceError({
      code: this.#shared === null ? "TENSOR_DISPOSED" : "DEVICE_DISPOSED",
      message: `a stored weight of shape ${formatShape(this.shape)} and format ${this.format} was used after ${gone} was disposed`,
      fix: "dispose it later, or return it from the scope that freed it (or Device.keep it)",
    });
  }
}

/** Bytes that whole rows take in a format. */
export function storedByteLength([rows = 0, columns = 0]: Shape, format: StoredFormat): number {
  const block = storedBlock(format);
  return rows * (columns / block.elements) * block.bytes;
}

/** A part of a stored weight's bytes, see `Device.streamStoredWeight`. */
export interface StoredPiece {
  /** Where the bytes belong, from the start of the weight. */
  readonly byteOffset: number;
  readonly bytes: Uint8Array;
}

/** A weight of whatever the memory held, and how to fill it. @internal */
export function allocateStored(
  device: Device,
  shape: Shape,
  format: StoredFormat,
  { activations = "f32" }: StoredWeightOptions,
): { readonly weight: StoredWeight; readonly write: (piece: StoredPiece) => void } {
  const sizes = checkStoredShape(shape, format);
  if (device.disposed)
    throw new DeviceError({
      code: "DEVICE_DISPOSED",
      message: `a stored weight of shape ${formatShape(shape)} was asked of a disposed device`,
      fix: "open a new device",
    });
  const { backend } = device;
  // At least one byte, so that every storage of a backend has its own address.
  const storage = backend.allocateWeights(Math.max(1, storedByteLength(sizes, format)));
  const shared = new SharedStorage(backend, storage);
  const weight = new StoredWeight(device, shared, sizes, format, activations, 0);
  const write = ({ byteOffset, bytes }: StoredPiece): void => {
    if (byteOffset < 0 || byteOffset + bytes.byteLength > weight.byteLength)
      throw storedBytesError(shape, format, byteOffset + bytes.byteLength);
    if (bytes.byteLength > 0) backend.writeWeights(storage, byteOffset, bytes);
  };
  return { weight, write };
}

/** The error for a number of bytes that a shape does not take in a format. @internal */
export function storedBytesError(shape: Shape, format: StoredFormat, given: number): ShapeError {
  return new ShapeError({
    code: "SHAPE_DATA",
    message: `shape ${formatShape(shape)} of ${format} takes ${storedByteLength(shape, format)} bytes, but the data has ${given}`,
    fix: "give the bytes of all rows, as they are stored",
  });
}

/** Throws {@link ShapeError} unless rows of this shape are whole blocks of the format. */
export function checkStoredShape(shape: Shape, format: StoredFormat): readonly [number, number] {
  const [rows, columns] = shape;
  const { elements } = storedBlock(format);
  if (shape.length !== 2 || rows === undefined || columns === undefined)
    throw new ShapeError({
      code: "SHAPE_RANK",
      message: `a stored weight got shape ${formatShape(shape)}, expected [out, in]`,
      fix: "give the two sizes of the matrix",
    });
  if (columns % elements !== 0)
    throw new ShapeError({
      code: "STORED_BLOCKS",
      message: `a stored weight of shape ${formatShape(shape)} has rows of ${columns}, but ${format} comes in blocks of ${elements}`,
      fix: `give rows of a multiple of ${elements}, or another format`,
    });
  return [rows, columns];
}
