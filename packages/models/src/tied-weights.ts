import { MismatchError, sameShape } from "@latentkit/core";
import type { TensorStore } from "@latentkit/loaders";

/**
 * Refuses a checkpoint that holds two tensors of which the configuration makes one and that differ: transformers 4 takes the first for
 * both, transformers 5 each for itself.
 *
 * @param stored name of the tensor that is loaded
 * @param copy name of the one that shares it, which is there too
 * @throws MismatchError `WEIGHTS_TIED`
 */
export async function checkTied(
  store: TensorStore,
  stored: string,
  copy: string,
  signal?: AbortSignal,
): Promise<void> {
  const [a, b] = [store.info(stored), store.info(copy)];
  const alike = a.format === b.format && sameShape(a.shape, b.shape);
  if (alike && (await sameBytes(store, stored, copy, signal))) return;
  throw new MismatchError({
    code: "WEIGHTS_TIED",
    message: `the configuration ties ${copy} to ${stored} (tie_word_embeddings), but the checkpoint has both, and they differ`,
    fix: `write "tie_word_embeddings": false into config.json to use both, or take ${copy} out of the checkpoint`,
    where: store.name,
  });
}

async function sameBytes(
  store: TensorStore,
  first: string,
  second: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const others = store.readPieces(second, { signal })[Symbol.asyncIterator]();
  for await (const { bytes } of store.readPieces(first, { signal })) {
    const other = await others.next();
    // Pieces of tensors of one size are of one size.
    if (other.done === true || other.value.bytes.length !== bytes.length) return false;
    const { bytes: there } = other.value;
    if (!bytes.every((byte, at) => byte === there[at])) return false;
  }
  return true;
}
