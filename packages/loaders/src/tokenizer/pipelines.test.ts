import { describe, expect, it } from "vitest";
import { loadJson } from "../__fixtures__/load.ts";
import { tokenizerFromJson } from "./tokenizer-from-json.ts";

type Case = readonly [
  ids: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
  withSpecialTokens: readonly number[] | null,
  decoded: string | null,
  skipping: string | null,
];

interface Golden {
  readonly tokenizer: unknown;
  readonly cases: readonly Case[];
}

const texts = loadJson<readonly string[]>("../tokenizer/__fixtures__/texts.json");
const pipelines = [
  "gpt2",
  "neox",
  "roberta",
  "llama2",
  "mistral",
  "gemma",
  "llama3",
  "qwen",
  "olmo2",
  "tekken",
  "t5",
  "xlm-roberta",
  "unigram-bytes",
  "bert",
  "word-level",
];

describe.each(pipelines)("the pipeline of %s, as Hugging Face tokenizers runs it", (name) => {
  const { tokenizer: json, cases } = loadJson<Golden>(`../tokenizer/__fixtures__/${name}.json`);
  const tokenizer = tokenizerFromJson(json);

  it("has a case for every text", () => {
    expect(cases.length).toBe(texts.length);
    expect(texts.length).toBeGreaterThan(60);
  });

  it.each(texts.map((text, index) => [JSON.stringify(text).slice(0, 50), text, index] as const))(
    "%s",
    (_label, text, index) => {
      const [ids, starts, ends, special, decoded, skipping] = cases[index] ?? [];
      const encoding = tokenizer.encode(text);
      expect([...encoding.ids]).toEqual(ids);
      expect([...encoding.starts]).toEqual(starts);
      expect([...encoding.ends]).toEqual(ends);
      const around = tokenizer.encode(text, { addSpecialTokens: true });
      expect([...around.ids]).toEqual(special ?? ids);
      expect(tokenizer.decode(encoding.ids)).toBe(decoded ?? text);
      expect(tokenizer.decode(encoding.ids, { skipSpecialTokens: true })).toBe(skipping ?? text);
    },
  );
});
