import { safetensorsPieces } from "../safetensors/encode-safetensors.ts";
import type { TensorToWrite } from "../safetensors/encode-safetensors.ts";
import { writeFileAtomic } from "./write-file-atomic.ts";
import type { WriteOptions } from "./write-file-atomic.ts";

/**
 * Writes a safetensors file, one tensor at a time, by {@link writeFileAtomic}. The same tensors and metadata give the same bytes,
 * in whatever order they come.
 *
 * Throws `IoError` `DISK_FULL` and its kin, and `ConfigError` `TENSOR_TO_WRITE` for data that does not fill its shape.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata?: Readonly<Record<string, string>>,
  options?: WriteOptions,
): Promise<void> {
  const { pieces } = safetensorsPieces(tensors, metadata);
  await writeFileAtomic(path, inTurn(pieces), options);
}

function* inTurn(pieces: readonly (() => Uint8Array)[]): Generator<Uint8Array> {
  for (const piece of pieces) yield piece();
}
