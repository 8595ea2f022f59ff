// Helpers of this package's tests.
import { readFile } from "node:fs/promises";
import { type Checkpoint, openSafetensors, bytesSource, type TensorStore, type Tokenizer } from "@latentkit/loaders";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import type { LanguageModel } from "../language-model.ts";

export function referenceDevice(): Device {
  return new Device(createReferenceBackend());
}

/** Opens a file beside this one. */
export async function openFixture(name: string): Promise<TensorStore> {
  const bytes = await readFile(new URL(name, import.meta.url));
  return openSafetensors(bytesSource(Uint8Array.from(bytes), name));
}

/** A checkpoint folder beside this one, without a tokenizer. */
export async function openTiny(name: string): Promise<Checkpoint> {
  const tensors = await openFixture(`${name}/model.safetensors`);
  const config: unknown = JSON.parse(await readFile(new URL(`${name}/config.json`, import.meta.url), "utf8"));
  return checkpointOf(config, tensors);
}

export function checkpointOf(config: unknown, tensors: TensorStore, tokenizer: Tokenizer | null = null): Checkpoint {
  return {
    name: "fixture",
    format: "safetensors",
    config,
    tensors,
    tokenizer,
    weightsHash: () => Promise.resolve("0".repeat(64)),
    close: () => tensors.close(),
  };
}

/** max |actual - expected| / std(expected); infinities must be equal and count for nothing. */
export function deviation(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  const finite = expected.filter((value) => Number.isFinite(value));
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  const variance = finite.reduce((sum, value) => sum + (value - mean) ** 2, 0) / finite.length;
  let largest = 0;
  for (const [index, value] of expected.entries()) {
    const given = actual[index] ?? Number.NaN;
    if (given === value) continue;
    const difference = Math.abs(given - value);
    // Written so that NaN counts as the largest.
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest === 0 ? 0 : largest / Math.sqrt(variance);
}

/** Runs and reads everything asked for, freeing the result. */
export async function read(
  model: LanguageModel,
  tokens: readonly ArrayLike<number>[],
  options: Parameters<LanguageModel["run"]>[1] = {},
): Promise<{ logits: Float32Array; at: (site: string) => Float32Array; shape: (site: string) => readonly number[] }> {
  using result = model.run(tokens, options);
  const values = new Map<string, Float32Array>();
  const shapes = new Map<string, readonly number[]>();
  for (const [site, tensor] of result.captured) {
    values.set(site, await tensor.floats());
    shapes.set(site, tensor.shape);
  }
  const logits = result.logits === null ? new Float32Array() : await result.logits.floats();
  return {
    logits,
    at: (site) => values.get(site) ?? new Float32Array(),
    shape: (site) => shapes.get(site) ?? [],
  };
}

/** One token a byte, so that every character beyond ASCII is cut; 256 is a special token that ends texts. */
export function byteTokenizer(): Tokenizer {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const decode = (ids: ArrayLike<number>) => decoder.decode(Uint8Array.from(Array.from(ids).filter((id) => id < 256)));
  return {
    vocabularySize: 257,
    specialTokens: { bos: null, eos: 256, pad: null, all: new Map([["<end>", 256]]) },
    chatTemplate: null,
    identity: "bytes",
    encode(text) {
      const ids = Int32Array.from(encoder.encode(text));
      return { ids, starts: new Int32Array(ids.length), ends: new Int32Array(ids.length) };
    },
    decode,
    tokenText: (id) => decode([id]),
    tokenId: (token) => (token === "<end>" ? 256 : null),
  };
}
