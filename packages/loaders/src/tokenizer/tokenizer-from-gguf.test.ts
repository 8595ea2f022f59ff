import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { errorOf, loadJson } from "../__fixtures__/load.ts";
import { tinyLlamaFile, tinyTokens } from "../__fixtures__/tiny-llama.ts";
import { expectCovered, expectOrderly } from "../__fixtures__/tokenizer-cases.ts";
import type { ValueToWrite } from "../__fixtures__/write-gguf.ts";
import { bytesSource } from "../byte-source.ts";
import type { GgufValue } from "../gguf/metadata.ts";
import { openGguf } from "../gguf/open-gguf.ts";
import { tokenizerFromGguf } from "./tokenizer-from-gguf.ts";
import { tokenizerFromJson } from "./tokenizer-from-json.ts";
import type { Tokenizer } from "./tokenizer.ts";

const open = async (
  changes: Readonly<Record<string, ValueToWrite | null>> = {},
): Promise<Tokenizer> =>
  tokenizerFromGguf(
    (await openGguf(bytesSource(tinyLlamaFile(changes), "t.gguf"))).metadata,
    "t.gguf",
  );
const texts = async (tokenizer: Tokenizer, text: string): Promise<string[]> =>
  [...tokenizer.encode(text).ids].map((id) => tokenizer.tokenText(id));

describe("tokenizerFromGguf", () => {
  it("merges, splits digits and keeps control tokens whole", async () => {
    const tokenizer = await open();
    expect(tokenizer.vocabularySize).toBe(tinyTokens.length);
    expect(tokenizer.specialTokens).toMatchObject({ bos: 1, eos: 2, pad: null });
    expect(await texts(tokenizer, "hello 12<|im_end|>")).toEqual([
      "hel",
      "l",
      "o",
      " ",
      "1",
      "2",
      "<|im_end|>",
    ]);
    expect(
      tokenizer.decode(tokenizer.encode("hello 12<|im_end|>").ids, { skipSpecialTokens: true }),
    ).toBe("hello 12");
  });

  it.each([
    ["gpt-2", "a  12", ["a", " ", " 12"]],
    ["smollm", "a  12", ["a", "  ", "1", "2"]],
    ["llama-bpe", "a  1234", ["a", " ", " ", "123", "4"]],
    ["dbrx", "a  1234", ["a", " ", " ", "123", "4"]],
    ["qwen2", "a  12", ["a", " ", " ", "1", "2"]],
    ["tekken", "a  12", ["a", " ", " ", "1", "2"]],
  ])("cuts text in the way %s", async (pre, text, pieces) => {
    // With a merge for every pair that a piece could hold, tokens are the pieces.
    const alphabet = ["Ġ", "1", "2", "3", "4"];
    const pairs = ["Ġ Ġ", "1 2", "12 3", "Ġ 12", "ĠĠ 12", "123 4"];
    const tokens = [...tinyTokens, "ĠĠ", "12", "123", "Ġ12", "ĠĠ12", "1234"];
    const tokenizer = await open({
      "tokenizer.ggml.pre": pre,
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.merges": pairs,
    });
    expect(alphabet.every((token) => tokens.includes(token))).toBe(true);
    expect(await texts(tokenizer, text)).toEqual(pieces);
  });

  it("adds BOS and EOS where the file says so", async () => {
    const plain = await open();
    expect([...plain.encode("o", { addSpecialTokens: true }).ids]).toEqual([
      ...plain.encode("o").ids,
    ]);
    const both = await open({
      "tokenizer.ggml.add_bos_token": true,
      "tokenizer.ggml.add_eos_token": true,
    });
    const { ids, starts, ends } = both.encode("o", { addSpecialTokens: true });
    expect([ids[0], ids.at(-1), ids.length]).toEqual([1, 2, 3]);
    expect([[...starts], [...ends]]).toEqual([
      [0, 0, 1],
      [0, 1, 1],
    ]);
  });

  it.each<readonly [string, Readonly<Record<string, ValueToWrite | null>>, string]>([
    ["Unigram", { "tokenizer.ggml.model": "t5" }, "TOKENIZER_UNSUPPORTED"],
    ["SentencePiece without scores", { "tokenizer.ggml.model": "llama" }, "GGUF_METADATA"],
    ["no kind", { "tokenizer.ggml.model": null }, "GGUF_METADATA"],
    ["an unknown way of cutting", { "tokenizer.ggml.pre": "psychic" }, "TOKENIZER_UNSUPPORTED"],
    ["no way of cutting", { "tokenizer.ggml.pre": null }, "TOKENIZER_UNSUPPORTED"],
    ["no tokens", { "tokenizer.ggml.tokens": null }, "GGUF_METADATA"],
    ["tokens that are numbers", { "tokenizer.ggml.tokens": [1, 2] }, "GGUF_METADATA"],
    ["no merges", { "tokenizer.ggml.merges": null }, "GGUF_METADATA"],
    ["a merge of three", { "tokenizer.ggml.merges": ["a b c"] }, "GGUF_METADATA"],
    ["a BOS beyond the tokens", { "tokenizer.ggml.bos_token_id": 10_000 }, "GGUF_METADATA"],
  ])("refuses %s", async (_name, changes, code) => {
    expect(await errorOf(() => open(changes))).toMatchObject({
      code,
      name: "FormatError",
      where: "t.gguf",
    });
  });
});

describe("SentencePiece in GGUF", () => {
  interface Model {
    readonly prefix: boolean;
    readonly tokens: readonly string[];
    readonly scores: readonly number[];
    readonly types: readonly number[];
    readonly ids: readonly (readonly number[])[];
  }
  const golden = loadJson<{ readonly models: readonly Model[] }>(
    "../tokenizer/__fixtures__/sentencepiece-bpe.json",
  );
  const awkward = loadJson<readonly string[]>("../tokenizer/__fixtures__/texts.json");
  const tokenizerOf = ({ prefix, tokens, scores, types }: Model): Tokenizer =>
    tokenizerFromGguf(
      new Map<string, GgufValue>([
        ["tokenizer.ggml.model", "llama"],
        ["tokenizer.ggml.tokens", tokens],
        ["tokenizer.ggml.scores", scores],
        ["tokenizer.ggml.token_type", types],
        ["tokenizer.ggml.add_space_prefix", prefix],
        ["tokenizer.ggml.bos_token_id", 1],
        ["tokenizer.ggml.eos_token_id", 2],
      ]),
    );

  describe.each(golden.models)("with a space before: $prefix", (model) => {
    const tokenizer = tokenizerOf(model);
    it.each(
      awkward.map((text, index) => [JSON.stringify(text).slice(0, 50), text, index] as const),
    )("%s", (_label, text, index) => {
      const encoding = tokenizer.encode(text);
      expect([...encoding.ids]).toEqual(model.ids[index]);
      expectOrderly(encoding, text);
      if (!/[\u2581<>]/.test(text)) {
        expectCovered(encoding, text);
        expect(tokenizer.decode(encoding.ids)).toBe(text);
      }
    });
  });

  it("puts BOS before a text, keeps control tokens whole and spells bytes", () => {
    const [model] = golden.models;
    if (model === undefined) throw new RangeError("there is no model");
    const tokenizer = tokenizerOf(model);
    const { ids } = tokenizer.encode("the</s>\u{10ffff}", { addSpecialTokens: true });
    expect([ids[0], ids.includes(2)]).toEqual([1, true]);
    expect(tokenizer.decode(ids)).toBe("<s> the</s> \u{10ffff}");
    expect(tokenizer.specialTokens).toMatchObject({ bos: 1, eos: 2 });
  });
});

/** A lone surrogate is no character; UTF-8 has U+FFFD for it. */
const wellFormed = (text: string): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));

describe("offsets", async () => {
  const goldens =
    loadJson<Readonly<Record<string, { readonly tokenizer: unknown }>>>("small-tokenizers.json");
  const byteLevel = tokenizerFromJson(goldens.byte_level?.tokenizer);
  const unit = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: "grapheme" }),
    fc.constantFrom(
      "<|im_end|>",
      "[MASK]",
      "snake_case",
      "  ",
      "\n",
      "12",
      "e\u0301",
      "👩‍👧",
      "\ud83d",
      "\udc69",
      "[R] ",
    ),
  );
  const text = fc.array(unit, { maxLength: 12 }).map((parts) => parts.join(""));

  for (const [name, tokenizer] of [
    ["trained", byteLevel],
    ["from GGUF", await open()],
  ] as const) {
    test.prop([text], { numRuns: 400 })(
      `cover the text in order, and decoding gives it back (${name})`,
      (input) => {
        const encoding = tokenizer.encode(input);
        expectOrderly(encoding, input);
        expectCovered(encoding, input);
        // These two swallow the white space beside them.
        if (!/\[(R|MASK)\]/.test(input))
          expect(tokenizer.decode(encoding.ids)).toBe(wellFormed(input));
      },
    );
  }

  test.prop([text, fc.constantFrom(...Object.keys(goldens))], { numRuns: 300 })(
    "are in order for every kind of tokenizer",
    (input, name) => {
      expectOrderly(tokenizers[name]?.encode(input) ?? byteLevel.encode(input), input);
    },
  );
  const tokenizers = Object.fromEntries(
    Object.entries(goldens).map(([name, { tokenizer }]) => [name, tokenizerFromJson(tokenizer)]),
  );
});
