import { describe, expect, it } from "vitest";
import { errorOf, loadJson } from "../__fixtures__/load.ts";
import { expectCase } from "../__fixtures__/tokenizer-cases.ts";
import type { TokenizerCase } from "../__fixtures__/tokenizer-cases.ts";
import { tokenizerFromJson } from "./tokenizer-from-json.ts";

interface Golden {
  readonly tokenizer: Readonly<Record<string, unknown>> & {
    readonly model: Readonly<Record<string, unknown>>;
  };
  readonly cases: readonly TokenizerCase[];
}

const goldens = loadJson<Readonly<Record<string, Golden>>>("small-tokenizers.json");
const byteLevel = goldens.byte_level ?? { tokenizer: { model: {} }, cases: [] };

describe.each(Object.entries(goldens))(
  "%s, trained and run by Hugging Face tokenizers",
  (name, { tokenizer: json, cases }) => {
    const tokenizer = tokenizerFromJson(json);
    // Where text is rewritten first, the reference counts one of several joined characters; here a token covers all of them.
    const offsets = name === "byte_level" ? "equal" : "cover";

    it.each(cases.map((golden) => [JSON.stringify(golden.text).slice(0, 60), golden] as const))(
      "%s",
      (_label, golden) => {
        // The library's byte fallback loses a U+FEFF when decoding.
        const decode = !(name === "byte_fallback" && golden.text.includes("\ufeff"));
        expect([...tokenizer.encode(golden.text).ids]).toEqual(golden.ids);
        expectCase(tokenizer, golden, { offsets, decode });
      },
    );

    it("has ids for all of a golden's texts", () => {
      expect(cases.length).toBeGreaterThan(40);
      expect(Math.max(...cases.flatMap(({ ids }) => ids))).toBeLessThan(tokenizer.vocabularySize);
    });
  },
);

describe("tokenizerFromJson", () => {
  const config = {
    bos_token: "<|im_start|>",
    eos_token: { content: "<|im_end|>", special: true },
    chat_template: "{{ messages[0].content }}",
  };

  it("reads special tokens and the template from tokenizer_config.json", () => {
    const { specialTokens, chatTemplate } = tokenizerFromJson(byteLevel.tokenizer, config);
    expect(specialTokens.bos).toBe(specialTokens.all.get("<|im_start|>"));
    expect(specialTokens.eos).toBe(specialTokens.all.get("<|im_end|>"));
    expect(specialTokens.pad).toBeNull();
    expect([...specialTokens.all.keys()]).toEqual(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
    expect(chatTemplate).toBe(config.chat_template);
  });

  it("takes the default among several templates", () => {
    const several = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "plain" },
    ];
    expect(tokenizerFromJson(byteLevel.tokenizer, { chat_template: several }).chatTemplate).toBe(
      "plain",
    );
  });

  it("has an identity that follows the definition", () => {
    const { identity } = tokenizerFromJson(byteLevel.tokenizer);
    expect(identity).toMatch(/^[0-9a-f]{64}$/);
    expect(
      tokenizerFromJson(Object.fromEntries(Object.entries(byteLevel.tokenizer).toReversed()))
        .identity,
    ).toBe(identity);
    expect(tokenizerFromJson(byteLevel.tokenizer, config).identity).not.toBe(identity);
    expect(tokenizerFromJson({ ...byteLevel.tokenizer, added_tokens: [] }).identity).not.toBe(
      identity,
    );
  });

  it("gives the text of single tokens, U+FFFD for part of a character", () => {
    const tokenizer = tokenizerFromJson(byteLevel.tokenizer);
    const { ids } = tokenizer.encode("ε the");
    expect([...ids].map((id) => tokenizer.tokenText(id)).join("|")).toMatch(
      /^\ufffd\|\ufffd\| the$|^ε\|.* ?the$/,
    );
    expect(tokenizer.tokenText(tokenizer.specialTokens.all.get("<|im_end|>") ?? -1)).toBe(
      "<|im_end|>",
    );
    expect(tokenizer.tokenText(10_000_000)).toBe("");
    expect(tokenizer.decode([10_000_000])).toBe("");
    expect(tokenizer.tokenId("no such token")).toBeNull();
  });

  it.each([
    ["text instead of an object", "tokenizer", "TOKENIZER_JSON"],
    ["null", null, "TOKENIZER_JSON"],
    ["no model", {}, "TOKENIZER_JSON"],
    ["no vocabulary", { model: { type: "BPE", merges: [] } }, "TOKENIZER_JSON"],
    ["an unknown model", { model: { type: "Quantum", vocab: {} } }, "TOKENIZER_UNSUPPORTED"],
    [
      "an id that is none",
      { model: { type: "BPE", vocab: { a: -1 }, merges: [] } },
      "TOKENIZER_JSON",
    ],
    [
      "a fractional id",
      { model: { type: "BPE", vocab: { a: 0.5 }, merges: [] } },
      "TOKENIZER_JSON",
    ],
    ["a huge id", { model: { type: "BPE", vocab: { a: 2 ** 53 }, merges: [] } }, "TOKENIZER_JSON"],
    [
      "two tokens with one id",
      { model: { type: "BPE", vocab: { a: 0, b: 0 }, merges: [] } },
      "TOKENIZER_JSON",
    ],
    [
      "an added token without content",
      { model: { type: "BPE", vocab: {}, merges: [] }, added_tokens: [{ id: 0, content: "" }] },
      "TOKENIZER_JSON",
    ],
    [
      "an unknown pre-tokenizer",
      { model: { type: "BPE", vocab: {}, merges: [] }, pre_tokenizer: { type: "Psychic" } },
      "TOKENIZER_UNSUPPORTED",
    ],
    [
      "an unknown normaliser",
      { model: { type: "BPE", vocab: {}, merges: [] }, normalizer: { type: "Psychic" } },
      "TOKENIZER_JSON",
    ],
    [
      "a pattern that is none",
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" },
      },
      "TOKENIZER_JSON",
    ],
    [
      "an unknown behaviour",
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        pre_tokenizer: { type: "Split", pattern: { String: "a" }, behavior: "Shredded" },
      },
      "TOKENIZER_JSON",
    ],
    [
      "BPE with a word prefix",
      { model: { type: "BPE", vocab: {}, merges: [], continuing_subword_prefix: "##" } },
      "TOKENIZER_UNSUPPORTED",
    ],
  ])("refuses %s", async (_name, json, code) => {
    expect(await errorOf(() => tokenizerFromJson(json))).toMatchObject({ code });
  });

  it("refuses a special token that the vocabulary does not have", async () => {
    expect(
      await errorOf(() => tokenizerFromJson(byteLevel.tokenizer, { bos_token: "<s>" })),
    ).toMatchObject({ code: "TOKENIZER_CONFIG" });
    expect(
      await errorOf(() => tokenizerFromJson(byteLevel.tokenizer, { bos_token: 7 })),
    ).toMatchObject({ code: "TOKENIZER_CONFIG" });
  });
});
