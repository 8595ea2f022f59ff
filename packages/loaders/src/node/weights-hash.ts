import { throwIfAborted } from "@latentkit/core";
import { createHash } from "node:crypto";
import { defaultPieceBytes, type TensorStore } from "../tensor-store.ts";

/** SHA-256 over name, format, shape and bytes of every tensor in the order of their names. */
export async function hashWeights(tensors: TensorStore, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(defaultPieceBytes);
  for (const name of tensors.names()) {
    throwIfAborted(signal);
    const { format, shape } = tensors.info(name);
    hash.update(`${JSON.stringify([name, format, shape])}\n`);
    for await (const { bytes } of tensors.readPieces(name, { signal, buffer })) hash.update(bytes);
  }
  return hash.digest("hex");
}

/** Hashes once; a call that was aborted or failed leaves the next one to try again. */
export function rememberedHash(tensors: TensorStore): (signal?: AbortSignal) => Promise<string> {
  let known: string | undefined;
  return async (signal) => (known ??= await hashWeights(tensors, signal));
}
