import { sizeOf } from "@latentkit/core";
import type { ByteSource } from "./byte-source.ts";
import { decodeFloats, decodeIntegers } from "./decode-elements.ts";
import { defaultPieceBytes, findTensor } from "./tensor-store.ts";
import type {
  PieceOptions,
  ReadOptions,
  TensorInfo,
  TensorPiece,
  TensorStore,
} from "./tensor-store.ts";

/** A tensor and the place of its bytes in the source. */
export interface PlacedTensor {
  readonly info: TensorInfo;
  /** From the start of the source. */
  readonly offset: number;
}

/** The store that both formats give once their header has been checked. Closing it closes the source. */
export function fileStore(
  source: ByteSource,
  tensors: ReadonlyMap<string, PlacedTensor>,
): TensorStore {
  const names = [...tensors.keys()].sort();
  const find = (name: string): PlacedTensor => findTensor(tensors, name, source.name);
  const readBytes = async (
    name: string,
    options?: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>> => {
    const { info, offset } = find(name);
    return source.read(offset, info.byteLength, options?.signal);
  };
  return {
    name: source.name,
    names: () => names,
    has: (name) => tensors.has(name),
    info: (name) => find(name).info,
    async readFloats(name, options) {
      const { info } = find(name);
      const bytes = await readBytes(name, options);
      return decodeFloats(
        bytes,
        info.format,
        sizeOf(info.shape),
        `${source.name}, tensor "${name}"`,
      );
    },
    async readIntegers(name, options) {
      const { info } = find(name);
      return decodeIntegers(
        await readBytes(name, options),
        info.format,
        `${source.name}, tensor "${name}"`,
      );
    },
    readBytes,
    async *readPieces(name, options: PieceOptions = {}): AsyncGenerator<TensorPiece> {
      const { info, offset } = find(name);
      const { signal, pieceBytes = defaultPieceBytes, buffer } = options;
      for (let byteOffset = 0; byteOffset < info.byteLength; byteOffset += pieceBytes) {
        const length = Math.min(pieceBytes, info.byteLength - byteOffset);
        const place = offset + byteOffset;
        if (source.readInto === undefined || buffer === undefined || buffer.length < length) {
          // eslint-disable-next-line no-await-in-loop -- one piece at a time, so that only one is in host memory
          yield { byteOffset, bytes: await source.read(place, length, signal) };
          continue;
        }
        const bytes = buffer.subarray(0, length);
        // eslint-disable-next-line no-await-in-loop -- the next piece goes into the same memory
        await source.readInto(place, bytes, signal);
        yield { byteOffset, bytes };
      }
    },
    close: () => source.close(),
  };
}
