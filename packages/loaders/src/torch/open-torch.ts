import { FormatError, sizeOf } from "@latentkit/core";
import type { ByteSource } from "../byte-source.ts";
import { decodeFloats, decodeIntegers } from "../decode-elements.ts";
import { blockLayout } from "../storage-format.ts";
import {
  defaultPieceBytes,
  findTensor,
  type PieceOptions,
  type ReadOptions,
  type TensorInfo,
  type TensorStore,
} from "../tensor-store.ts";
import { openZip, type ZipArchive, type ZipEntry, type ZipFault } from "../zip/open-zip.ts";
import { flattened, type TorchScalar } from "./flattened.ts";
import { gather, isContiguous, spanOf } from "./gather.ts";
import { storageFormats } from "./pickle-globals.ts";
import type { PickledTensor } from "./pickle-values.ts";
import { readPickle } from "./read-pickle.ts";

/** A file of `torch.save`: its tensors, and the numbers and strings between them. */
export interface TorchStore extends TensorStore {
  /** Numbers, strings, booleans and None, by their path in the file. */
  readonly scalars: ReadonlyMap<string, TorchScalar>;
}

/** Programs of state dicts have some 100 bytes a tensor. */
const largestPickle = 64 * 1024 * 1024;

/** A tensor, and where its storage's bytes are. */
interface Placed {
  readonly info: TensorInfo;
  readonly tensor: PickledTensor;
  readonly record: ZipEntry;
}

/**
 * Opens a file that `torch.save` wrote (a zip archive, torch 1.6 and later): a state dict, or dicts and lists that hold tensors. Names
 * of nested entries are joined by dots. Tensors may be views of any strides. Nothing of the file is executed: see {@link readPickle}.
 *
 * Storages are read when asked for. What a whole storage's checksum says is checked where all of it is read.
 *
 * @throws FormatError `TORCH_FILE` for another kind of file (those of torch before 1.6 and TorchScript among them), or a damaged one;
 *   `TORCH_PICKLE_REFUSED`, `TORCH_PICKLE`, `TORCH_TENSOR`
 *
 * @example
 * const store = await openTorch(await openFile("ae.pt"));
 * const encoder = await store.readFloats("encoder.weight");
 */
export async function openTorch(source: ByteSource, signal?: AbortSignal): Promise<TorchStore> {
  const fault = faultOf(source.name);
  await checkStart(source, fault, signal);
  const archive = await openZip(source, fault, signal);
  const program = [...archive.entries.values()].find(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  if (program === undefined) throw fault("it is a zip archive without data.pkl");
  const folder = program.name.slice(0, -"data.pkl".length);
  if (archive.entries.has(`${folder}constants.pkl`))
    throw fault("it is a TorchScript program, not a file of torch.save");
  if (program.size > largestPickle)
    throw fault(`its data.pkl has ${program.size} bytes; ${largestPickle} are the most`);
  await checkByteOrder(archive, `${folder}byteorder`, fault, signal);
  const value = readPickle(await archive.read(program, signal), source.name);
  const { tensors, scalars } = flattened(value, fault);
  const placed = new Map<string, Placed>();
  for (const [name, tensor] of tensors)
    placed.set(
      name,
      place(name, tensor, archive.entries.get(`${folder}data/${tensor.storage.key}`), source.name),
    );
  return storeOf(source, archive, placed, scalars);
}

function place(
  name: string,
  tensor: PickledTensor,
  record: ZipEntry | undefined,
  where: string,
): Placed {
  const { storage, shape } = tensor;
  const bad = (message: string): FormatError =>
    new FormatError({
      code: "TORCH_TENSOR",
      message: `tensor "${name}" cannot be read: ${message}`,
      fix: "get the file again, or save it anew with torch.save",
      where,
    });
  const format = storageFormats.get(storage.type);
  if (format === undefined)
    throw bad(`it is stored as ${storage.type}; ${[...storageFormats.keys()].join(", ")} are read`);
  if (record === undefined) throw bad(`the file has no data/${storage.key}`);
  const { bytes } = blockLayout(format);
  const count = sizeOf(shape);
  const end = tensor.offset + spanOf(tensor);
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(end) || end > storage.length)
    throw bad(`it reaches to element ${end} of ${storage.length}`);
  // A stride of 0 repeats what is stored: a few bytes could claim any size.
  if (count > storage.length)
    throw bad(`it has ${count} elements of ${storage.length} stored ones`);
  if (record.size !== storage.length * bytes)
    throw bad(
      `data/${storage.key} has ${record.size} bytes, not ${storage.length} elements of ${bytes}`,
    );
  return { info: { name, shape, format, byteLength: count * bytes }, tensor, record };
}

function storeOf(
  source: ByteSource,
  archive: ZipArchive,
  tensors: ReadonlyMap<string, Placed>,
  scalars: ReadonlyMap<string, TorchScalar>,
): TorchStore {
  const { name: where } = source;
  const names = [...tensors.keys()].sort();
  const find = (name: string): Placed => findTensor(tensors, name, where);
  const readBytes = async (
    name: string,
    options?: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>> => {
    const { info, tensor, record } = find(name);
    const { bytes: width } = blockLayout(info.format);
    const { offset, shape, strides } = tensor;
    const length = spanOf(tensor) * width;
    const stored = record.packedSize === record.size && length < record.size;
    const from = offset * width;
    const span = stored
      ? await source.read(
          (await archive.start(record, options?.signal)) + from,
          length,
          options?.signal,
        )
      : (await archive.read(record, options?.signal)).subarray(from, from + length);
    return isContiguous(shape, strides) ? span.slice() : gather(span, shape, strides, width);
  };
  return {
    name: where,
    scalars,
    names: () => names,
    has: (name) => tensors.has(name),
    info: (name) => find(name).info,
    async readFloats(name, options) {
      const { info } = find(name);
      const bytes = await readBytes(name, options);
      return decodeFloats(bytes, info.format, sizeOf(info.shape), `${where}, tensor "${name}"`);
    },
    async readIntegers(name, options) {
      const { info } = find(name);
      const bytes = await readBytes(name, options);
      return decodeIntegers(bytes, info.format, `${where}, tensor "${name}"`);
    },
    readBytes,
    async *readPieces(name, options: PieceOptions = {}) {
      const bytes = await readBytes(name, options);
      const { pieceBytes = defaultPieceBytes } = options;
      for (let byteOffset = 0; byteOffset < bytes.length; byteOffset += pieceBytes)
        yield { byteOffset, bytes: bytes.slice(byteOffset, byteOffset + pieceBytes) };
    },
    close: () => source.close(),
  };
}

/** What files of older versions begin with, instead of a zip record. */
async function checkStart(
  source: ByteSource,
  fault: ZipFault,
  signal?: AbortSignal,
): Promise<void> {
  const start = await source.read(0, Math.min(source.size, 16), signal);
  const text = String.fromCharCode(...start);
  if (text.startsWith("PK")) return;
  // Protocol 2, then torch's magic number 0x1950a86a20f9469cfc6c as a long of ten bytes.
  if (text.startsWith("\u0080\u0002\u008a\u000a"))
    throw fault("it is of torch before 1.6, whose files are not zip archives");
  throw fault("it is no zip archive, as torch.save writes since 1.6");
}

async function checkByteOrder(
  archive: ZipArchive,
  name: string,
  fault: ZipFault,
  signal?: AbortSignal,
): Promise<void> {
  const entry = archive.entries.get(name);
  if (entry === undefined || entry.size > 16) return;
  const order = new TextDecoder().decode(await archive.read(entry, signal));
  if (order.trim() !== "little") throw fault(`its byte order is "${order}"; little is read`);
}

function faultOf(where: string): ZipFault {
  return (message) =>
    new FormatError({
      code: "TORCH_FILE",
      message: `the torch file cannot be read: ${message}`,
      fix: "get the file again, or in Python, where you trust it: torch.save(torch.load(path), path)",
      where,
    });
}
