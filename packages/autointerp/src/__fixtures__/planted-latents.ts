// A model whose token embeddings an SAE reads, with latents that fire on known characters and on nothing else.
import { Random } from "@latentkit/core";
import { byteTokenizer, type Tokenizer } from "@latentkit/loaders";
import { type LanguageModel, randomModel } from "@latentkit/models";
import { Sae, type SpliceContext } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";

export const width = 48;
export const site = "hook_embed";
export const mask = { maskFirstPosition: true, maximumNormRatio: null, medianNorm: 1 };

/** What each latent stands for; the last one never fires. */
export const meanings = [
  { name: "digits", characters: "0123456789" },
  { name: "vowels", characters: "aeiou" },
  { name: "the letter z", characters: "z" },
  { name: "punctuation", characters: "!?;" },
  { name: "nothing", characters: "" },
] as const;

const filler = "bcdfg ";

export function plantedModel(device: Device): LanguageModel & { readonly tokenizer: Tokenizer } {
  const model = randomModel({
    device,
    seed: 5,
    tokenizer: byteTokenizer(),
    config: { dModel: width, heads: 2, kvHeads: 1, dHead: 8, dMlp: 16, layers: 1, contextSize: 64 },
  });
  // It was given one.
  return model as LanguageModel & { readonly tokenizer: Tokenizer };
}

/** Texts of filler with a few characters of some meanings in each, none at position 0, which is masked. */
export function plantedTexts(count: number, seed = 1): string[] {
  const random = new Random(seed);
  const draw = (from: string): string => from[random.integer(from.length)] ?? "";
  return Array.from({ length: count }, () => {
    const text = Array.from({ length: 48 }, () => draw(filler));
    for (const { characters } of meanings) {
      if (characters === "" || random.uniform() > 0.5) continue;
      for (let times = 1 + random.integer(2); times > 0; times--)
        text[1 + random.integer(text.length - 1)] = draw(characters);
    }
    return text.join("");
  });
}

export function contextsOf(tokenizer: Tokenizer, texts: readonly string[]): SpliceContext[] {
  return texts.map((text, document) => {
    const tokens = tokenizer.encode(text).ids;
    return { tokens, length: tokens.length, document };
  });
}

/** Latent i is 1 on the characters of meaning i and silent on all others: rows of the dual basis of the embeddings, added up. */
export async function plantedSae(
  device: Device,
  model: LanguageModel & { readonly tokenizer: Tokenizer },
): Promise<Sae> {
  const alphabet = [...filler, ...meanings.flatMap(({ characters }) => [...characters])];
  const ids = alphabet.map((character) => model.tokenizer.encode(character).ids[0] ?? 0);
  using run = model.run([ids], { capture: [site], logits: "none" });
  const embeddings = (await run.captured.get(site)?.floats()) ?? new Float32Array(0);
  const at = (row: number, column: number): number => embeddings[row * width + column] ?? 0;
  const gram = ids.map((_, a) =>
    ids.map((__, b) => {
      let sum = 0;
      for (let column = 0; column < width; column++) sum += at(a, column) * at(b, column);
      return sum;
    }),
  );
  const rows = new Float32Array(meanings.length * width);
  const decoder = new Float32Array(meanings.length * width);
  for (const [latent, { characters }] of meanings.entries()) {
    const wanted = alphabet.map((character) => (characters.includes(character) ? 1 : 0));
    const weights = solve(gram, wanted);
    for (const [row] of ids.entries())
      for (let column = 0; column < width; column++) {
        const place = latent * width + column;
        rows[place] = (rows[place] ?? 0) + (weights[row] ?? 0) * at(row, column);
        decoder[place] = (decoder[place] ?? 0) + (wanted[row] ?? 0) * at(row, column);
      }
  }
  return Sae.fromWeights(
    device,
    { architecture: "jumprelu", dIn: width, dSae: meanings.length, metadata: { hookName: site } },
    {
      encoderRows: rows,
      decoder,
      encoderBias: new Float32Array(meanings.length),
      decoderBias: new Float32Array(width),
      threshold: new Float32Array(meanings.length).fill(0.5),
    },
  );
}

/** Gaussian elimination with pivots, of a small matrix of full rank. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, at) => [...row, right[at] ?? 0]);
  const size = rows.length;
  for (let pivot = 0; pivot < size; pivot++) {
    let best = pivot;
    for (let row = pivot; row < size; row++)
      if (Math.abs(rows[row]?.[pivot] ?? 0) > Math.abs(rows[best]?.[pivot] ?? 0)) best = row;
    [rows[pivot], rows[best]] = [rows[best] ?? [], rows[pivot] ?? []];
    for (let row = 0; row < size; row++) {
      if (row === pivot) continue;
      const factor = (rows[row]?.[pivot] ?? 0) / (rows[pivot]?.[pivot] ?? 1);
      for (let column = pivot; column <= size; column++)
        (rows[row] ?? [])[column] =
          (rows[row]?.[column] ?? 0) - factor * (rows[pivot]?.[column] ?? 0);
    }
  }
  return rows.map((row, at) => (row[size] ?? 0) / (row[at] ?? 1));
}
