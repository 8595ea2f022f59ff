import { ConfigError, philox4x32 } from "@latentkit/core";
import type { TextDocument } from "./document.ts";

/** The two parts of a corpus. Training never sees `"held-out"`. */
export type Split = "train" | "held-out";

/** Both splits, in the order in which they are documented. */
export const splits: readonly Split[] = ["train", "held-out"];

/** How documents are divided. */
export interface SplitPolicy {
  /** Expected share of documents that are held out: at least 0, below 1. */
  readonly heldOut: number;
  /** Another seed holds out other documents. */
  readonly seed: number;
}

/** One document in ten is held out. */
export const defaultSplit: SplitPolicy = { heldOut: 0.1, seed: 0 };

/**
 * Which part a document belongs to, by a hash of its text and the seed.
 *
 * The text is hashed and not the id, with runs of white space taken as one space: corpora repeat documents under several ids,
 * and a repeated text must not be trained on in one place and tested on in another. The answer depends on nothing else, so
 * that adding documents never moves others.
 */
export function splitOf(document: TextDocument, policy: SplitPolicy): Split {
  checkSplitPolicy(policy);
  const hash = fnv1a(document.text.trim().replace(/\s+/gu, " "));
  const words = new Uint32Array(4);
  philox4x32(Uint32Array.of(hash, 0, 0, 0), Uint32Array.of(policy.seed >>> 0, splitStream), words);
  return (words[0] ?? 0) < policy.heldOut * 2 ** 32 ? "held-out" : "train";
}

/** Throws {@link ConfigError} unless the share is in [0, 1) and the seed is an integer. */
export function checkSplitPolicy(policy: SplitPolicy): void {
  if (policy.heldOut >= 0 && policy.heldOut < 1 && Number.isSafeInteger(policy.seed)) return;
  throw new ConfigError({
    code: "SPLIT_INVALID",
    message: `a split of ${policy.heldOut} held out with seed ${policy.seed} is not a share in [0, 1) and an integer`,
    fix: "give a share such as 0.1 and an integer seed",
  });
}

/** "splt": keeps these words apart from other uses of the same seed. */
const splitStream = 0x73706c74;

/**
 * FNV-1a, 32 bits, over UTF-16 code units, low byte first. Philox mixes its result, so that its weak high bits do no harm; a
 * collision only puts two texts into the same split.
 */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  return hash >>> 0;
}
