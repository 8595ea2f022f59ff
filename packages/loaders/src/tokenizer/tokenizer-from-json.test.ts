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
  (_name, { tokenizer: json, cases }) => {
    const tokenizer = tokenizerFromJson(json);

    it.each(cases.map((golden) => [JSON.stringify(golden.text).slice(0, 60), golden] as const))(
      "%s",
      (_label, golden) => {
        expect([...tokenizer.encode(golden.text).ids]).toEqual(golden.ids);
        expectCase(tokenizer, golden);
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

  it("does not let the model give a token that was only added beside it", () => {
    // The reference drops the x inside of the word: the model does not know it.
    const tokenizer = tokenizerFromJson({
      model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: [["a", "b"]] },
      added_tokens: [{ id: 3, content: "x", single_word: true }],
    });
    expect([...tokenizer.encode("axb x").ids]).toEqual([2, 3]);
    expect([tokenizer.tokenId("x"), tokenizer.vocabularySize]).toEqual([3, 4]);
  });

  it("names the step that is not supported", async () => {
    const json = { ...byteLevel.tokenizer, decoder: { type: "CTC" } };
    expect((await errorOf(() => tokenizerFromJson(json))).message).toContain('decoder "CTC"');
  });

  it("cleans up spaces where the configuration says so, but never of a BPE, as transformers", () => {
    const cleans = { clean_up_tokenization_spaces: true };
    const words = { type: "WordLevel", unk_token: "?", vocab: { "?": 0, yes: 1, ".": 2 } };
    const model = { model: words, pre_tokenizer: { type: "Whitespace" } };
    const { ids } = tokenizerFromJson(model).encode("yes.");
    expect(tokenizerFromJson(model).decode(ids)).toBe("yes .");
    expect(tokenizerFromJson(model, cleans).decode(ids)).toBe("yes.");
    const bpe = tokenizerFromJson(byteLevel.tokenizer, cleans);
    expect(bpe.decode(bpe.encode("yes .").ids)).toBe("yes .");
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
      "TOKENIZER_UNSUPPORTED",
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
      "an unknown decoder",
      { model: { type: "BPE", vocab: {}, merges: [] }, decoder: { type: "CTC" } },
      "TOKENIZER_UNSUPPORTED",
    ],
    [
      "an unknown post-processor",
      { model: { type: "BPE", vocab: {}, merges: [] }, post_processor: { type: "Psychic" } },
      "TOKENIZER_UNSUPPORTED",
    ],
    [
      "a template with a token that is not there",
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        post_processor: {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A" } }],
          special_tokens: {},
        },
      },
      "TOKENIZER_JSON",
    ],
    [
      "a template without a place for the text",
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        post_processor: { type: "TemplateProcessing", single: [], special_tokens: {} },
      },
      "TOKENIZER_JSON",
    ],
    [
      "a charsmap that is cut short",
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        normalizer: { type: "Precompiled", precompiled_charsmap: "AAEAAA==" },
      },
      "TOKENIZER_JSON",
    ],
    [
      "a charsmap that is not base64",
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        normalizer: { type: "Precompiled", precompiled_charsmap: "%%%" },
      },
      "TOKENIZER_JSON",
    ],
    [
      "a score that is none",
      { model: { type: "Unigram", vocab: [["a", "high"]] } },
      "TOKENIZER_JSON",
    ],
    [
      "an unknown token beyond the vocabulary",
      { model: { type: "Unigram", unk_id: 1, vocab: [["a", 0]] } },
      "TOKENIZER_JSON",
    ],
    [
      "word pieces without an unknown token",
      { model: { type: "WordPiece", unk_token: "[UNK]", vocab: { a: 0 } } },
      "TOKENIZER_JSON",
    ],
    [
      "word pieces on bytes",
      {
        model: { type: "WordPiece", unk_token: "a", vocab: { a: 0 } },
        pre_tokenizer: { type: "ByteLevel" },
      },
      "TOKENIZER_UNSUPPORTED",
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
