import { FormatError, formatShape } from "@latentkit/core";
import type { Shape } from "@latentkit/core";
import { didYouMean } from "./did-you-mean.ts";
import type { StorageFormat } from "./storage-format.ts";

/** What a file says about one tensor. */
export interface TensorInfo {
  readonly name: string;
  /** Row-major, slowest axis first: a linear layer's weight is `[out, in]`, in GGUF files too. */
  readonly shape: Shape;
  /** How the elements are stored. */
  readonly format: StorageFormat;
  /** Bytes it takes in the file. */
  readonly byteLength: number;
}

/** How a tensor is read. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** How a tensor is read in pieces. */
export interface PieceOptions extends ReadOptions {
  /** Bytes of a piece, but for the last one; 8 MiB by default. Stores that reorder rows round it. */
  readonly pieceBytes?: number | undefined;
  /**
   * Memory that pieces may be read into, to spare an allocation for each: then a piece's bytes are what it says only until the next one
   * is asked for. Stores that cannot make use of it leave it alone, and so they do where it is smaller than a piece.
   */
  readonly buffer?: Uint8Array<ArrayBuffer> | undefined;
}

/** Some of a tensor's bytes as stored; see {@link PieceOptions.buffer} for how long they last. */
export interface TensorPiece {
  /** From the start of the tensor. */
  readonly byteOffset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Bytes of a piece where nothing else is asked for. */
export const defaultPieceBytes: number = 8 * 1024 * 1024;

/** Named tensors, read one at a time. Nothing is held in memory between reads. */
export interface TensorStore {
  /** The file, folder or upload it came from. */
  readonly name: string;
  /** All names, sorted by code unit. */
  names(): readonly string[];
  has(name: string): boolean;
  /** Throws {@link FormatError} `TENSOR_MISSING`, with the nearest name there is. */
  info(name: string): TensorInfo;
  /** The elements as f32, dequantised where need be. Exact for F32, F16 and BF16; integers above 2^24 round. */
  readFloats(name: string, options?: ReadOptions): Promise<Float32Array<ArrayBuffer>>;
  /** The elements as i32. Throws {@link FormatError} for float formats and for values outside i32. */
  readIntegers(name: string, options?: ReadOptions): Promise<Int32Array<ArrayBuffer>>;
  /** The bytes as stored. */
  readBytes(name: string, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** The same in pieces that follow each other, for tensors that should not be in host memory as a whole. */
  readPieces(name: string, options?: PieceOptions): AsyncIterable<TensorPiece>;
  /** Closes the files underneath. */
  close(): Promise<void>;
}

/** Looks a tensor up, or throws `TENSOR_MISSING` naming the nearest one. */
export function findTensor<T>(tensors: ReadonlyMap<string, T>, name: string, where: string): T {
  const found = tensors.get(name);
  if (found !== undefined) return found;
  const near = didYouMean(name, tensors.keys());
  const few = [...tensors.keys()].slice(0, 5).join(", ");
  throw new FormatError({
    code: "TENSOR_MISSING",
    message: `there is no tensor "${name}" among ${tensors.size}${near === null ? "" : `; did you mean "${near}"?`}`,
    fix:
      near === null
        ? `use a name that the file has${few === "" ? "" : `, for example ${few}`}`
        : `use "${near}", or get the file that has the tensor`,
    where,
  });
}

/** Throws unless the tensor has this shape. */
export function expectShape(info: TensorInfo, shape: Shape, where: string): void {
  if (info.shape.length === shape.length && shape.every((size, axis) => size === info.shape[axis]))
    return;
  throw new FormatError({
    code: "TENSOR_SHAPE",
    message: `tensor "${info.name}" has shape ${formatShape(info.shape)}, but ${formatShape(shape)} was expected`,
    fix: "the weights and the configuration belong to different models: get both from one place",
    where,
  });
}

/**
 * One store over several, as the shards of a checkpoint are. Throws {@link FormatError} `TENSOR_DUPLICATE` where two stores
 * hold the same name. Closing it closes all of them.
 */
export function mergeStores(stores: readonly TensorStore[], name: string): TensorStore {
  const owners = new Map<string, TensorStore>();
  for (const store of stores) {
    for (const tensor of store.names()) {
      const other = owners.get(tensor);
      if (other !== undefined) {
        throw new FormatError({
          code: "TENSOR_DUPLICATE",
          message: `tensor "${tensor}" is in ${other.name} and again in ${store.name}`,
          fix: "remove the file that does not belong to this checkpoint",
          where: name,
        });
      }
      owners.set(tensor, store);
    }
  }
  const names = [...owners.keys()].sort();
  return {
    name,
    names: () => names,
    has: (tensor) => owners.has(tensor),
    info: (tensor) => findTensor(owners, tensor, name).info(tensor),
    readFloats: async (tensor, options) =>
      findTensor(owners, tensor, name).readFloats(tensor, options),
    readIntegers: async (tensor, options) =>
      findTensor(owners, tensor, name).readIntegers(tensor, options),
    readBytes: async (tensor, options) =>
      findTensor(owners, tensor, name).readBytes(tensor, options),
    readPieces: (tensor, options) => findTensor(owners, tensor, name).readPieces(tensor, options),
    async close() {
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}
