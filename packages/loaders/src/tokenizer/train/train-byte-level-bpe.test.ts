import type { ProgressEvent } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { errorOf, loadJson } from "../../__fixtures__/load.ts";
import { renderChat } from "../../chat/render-chat.ts";
import { plainText } from "../aligned-text.ts";
import { byteToCharacter } from "../byte-level.ts";
import { makePreTokenizer } from "../pre-tokenize.ts";
import { tokenizerFromJson } from "../tokenizer-from-json.ts";
import type { TrainByteLevelBpeOptions } from "./options.ts";
import { preTokenizerJson } from "./tokenizer-files.ts";
import { trainByteLevelBpe } from "./train-byte-level-bpe.ts";

interface Golden {
  readonly corpora: Readonly<Record<string, readonly string[]>>;
  readonly runs: readonly {
    readonly corpus: string;
    readonly settings: TrainByteLevelBpeOptions;
    readonly tokenizer: {
      readonly model: { readonly vocab: readonly string[]; readonly merges: readonly string[] };
    };
  }[];
}

const golden = loadJson<Golden>("trained-tokenizers.json");
const corpusOf = (name: string): readonly string[] => golden.corpora[name] ?? [];
const plain = { vocabularySize: 300, specialTokens: [] };

async function* streamed(texts: readonly string[]): AsyncGenerator<string> {
  for (const text of texts) {
    await Promise.resolve();
    yield text;
  }
}

describe("trainByteLevelBpe beside the BpeTrainer of Hugging Face tokenizers", () => {
  it.each(golden.runs.map((run) => [run.corpus, run.settings.vocabularySize, run] as const))(
    "learns the same from the corpus %s with up to %i tokens",
    async (name, _size, run) => {
      const { tokenizerJson } = await trainByteLevelBpe(corpusOf(name), run.settings);
      const { model, ...rest } = tokenizerJson;
      const { model: theirs, ...theirRest } = run.tokenizer;
      expect(model.merges.map((merge) => merge.join(" "))).toEqual(theirs.merges);
      expect(model.vocab).toEqual(Object.fromEntries(theirs.vocab.map((token, id) => [token, id])));
      expect({ ...model, vocab: null, merges: null }).toEqual({
        ...theirs,
        vocab: null,
        merges: null,
      });
      expect(rest).toEqual(theirRest);
    },
  );

  it("has goldens that stop at the size, at the frequency and for want of pairs", () => {
    const full = golden.runs.filter(
      ({ settings, tokenizer }) => tokenizer.model.vocab.length === settings.vocabularySize,
    );
    expect(full.length).toBeGreaterThan(2);
    expect(full.length).toBeLessThan(golden.runs.length - 2);
  });
});

describe("the trained tokenizer", () => {
  it("has special tokens first, then the bytes, then what was learned", async () => {
    const { tokenizerJson } = await trainByteLevelBpe(["low lower lowest"], {
      vocabularySize: 260,
      specialTokens: ["<e>", "<s>"],
    });
    const byId = Object.entries(tokenizerJson.model.vocab).sort(([, a], [, b]) => a - b);
    expect(byId.slice(0, 2)).toEqual([
      ["<e>", 0],
      ["<s>", 1],
    ]);
    expect(new Set(byId.slice(2, 258).map(([token]) => token))).toEqual(new Set(byteToCharacter));
    // "lo" and "ow" are equally frequent, and "l" has the smaller id.
    expect(tokenizerJson.model.merges).toEqual([
      ["l", "o"],
      ["lo", "w"],
    ]);
  });

  it.each(["awkward", "ties", "bytes", "runs"])(
    "encodes the corpus %s as it was cut in training",
    async (name) => {
      const texts = corpusOf(name);
      const { tokenizerJson, summary } = await trainByteLevelBpe(texts, {
        ...plain,
        vocabularySize: 500,
      });
      const tokenizer = tokenizerFromJson(tokenizerJson);
      let tokens = 0;
      for (const text of texts) {
        const { ids } = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(text);
        tokens += ids.length;
      }
      expect(summary).toMatchObject({ tokens, texts: texts.length });
      expect(summary.characters).toBe(texts.join("").length);
      expect(tokenizer.vocabularySize).toBe(summary.vocabularySize);
    },
  );

  it("is the same from a list and from a stream", async () => {
    const texts = corpusOf("awkward");
    const expected = (await trainByteLevelBpe(texts, plain)).tokenizerJson;
    expect((await trainByteLevelBpe(streamed(texts), plain)).tokenizerJson).toEqual(expected);
    expect((await trainByteLevelBpe(texts.toReversed(), plain)).tokenizerJson).toEqual(expected);
  });

  it("reads a long text in parts, and cuts no piece in two", async () => {
    const long = corpusOf("awkward").join("").repeat(100);
    expect(long.length).toBeGreaterThan(5 << 16);
    const { tokenizerJson, summary } = await trainByteLevelBpe([long], plain);
    const { preTokenize } = makePreTokenizer({ ...preTokenizerJson });
    const pieces = preTokenize(plainText(long)).map(({ text }) => text);
    expect(summary.pieces).toBe(new Set(pieces).size);
    expect(summary.characters).toBe(long.length);
    expect(summary.tokens).toBe(tokenizerFromJson(tokenizerJson).encode(long).ids.length);
  });

  it("cuts a long text without white space not at all", async () => {
    const { summary } = await trainByteLevelBpe(["x".repeat(200_000)], plain);
    expect(summary).toMatchObject({ pieces: 1, characters: 200_000, texts: 1 });
  });

  it("merges only what is frequent enough", async () => {
    const texts = ["aab ", "aab ", "ccd "];
    const merges = async (minimumFrequency?: number): Promise<number> =>
      (await trainByteLevelBpe(texts, { ...plain, minimumFrequency })).summary.merges;
    expect(await merges(3)).toBe(0);
    expect(await merges()).toBe(2); // aa, aab
    expect(await merges(0)).toBe(4);
  });

  it("knows special tokens, and its chat template renders", async () => {
    const { tokenizerJson, tokenizerConfig } = await trainByteLevelBpe(corpusOf("ties"), {
      ...plain,
      specialTokens: ["<|end|>", "<|turn|>"],
      bosToken: "<|turn|>",
      eosToken: "<|end|>",
      padToken: "<|end|>",
      chatTemplate:
        "{% for message in messages %}<|turn|>{{ message.content }}{{ eos_token }}{% endfor %}",
      modelMaximumLength: 512,
    });
    expect(tokenizerConfig).toEqual({
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: "<|turn|>",
      eos_token: "<|end|>",
      pad_token: "<|end|>",
      clean_up_tokenization_spaces: false,
      model_max_length: 512,
      chat_template: expect.stringContaining("eos_token"),
    });
    // Through text, as from the files.
    const tokenizer = tokenizerFromJson(
      JSON.parse(JSON.stringify(tokenizerJson)),
      JSON.parse(JSON.stringify(tokenizerConfig)),
    );
    expect(tokenizer.specialTokens).toMatchObject({ bos: 1, eos: 0, pad: 0 });
    const { ids } = renderChat(tokenizer, [{ role: "user", content: "abc" }]);
    expect(ids[0]).toBe(1);
    expect(ids.at(-1)).toBe(0);
  });
});

describe("what trainByteLevelBpe refuses", () => {
  const text = ["some text"];
  it.each<[string, Partial<Record<keyof TrainByteLevelBpeOptions, unknown>>, string, string]>([
    [
      "a vocabulary without room for the bytes",
      { vocabularySize: 255 },
      "TOKENIZER_VOCABULARY_SMALL",
      "256",
    ],
    [
      "a vocabulary without room for the special tokens",
      { vocabularySize: 257, specialTokens: ["a", "b"] },
      "TOKENIZER_VOCABULARY_SMALL",
      "258",
    ],
    [
      "a fraction of a token",
      { vocabularySize: 300.5 },
      "TOKENIZER_TRAINING_OPTIONS",
      "vocabularySize",
    ],
    ["no size", { vocabularySize: Number.NaN }, "TOKENIZER_TRAINING_OPTIONS", "vocabularySize"],
    [
      "a special token twice",
      { specialTokens: ["<s>", "<e>", "<s>"] },
      "TOKENIZER_TRAINING_OPTIONS",
      '"<s>" is given twice',
    ],
    [
      "an empty special token",
      { specialTokens: [""] },
      "TOKENIZER_TRAINING_OPTIONS",
      "specialTokens",
    ],
    [
      "a negative frequency",
      { minimumFrequency: -1 },
      "TOKENIZER_TRAINING_OPTIONS",
      "minimumFrequency",
    ],
    [
      "an end that is no special token",
      { eosToken: "</s>" },
      "TOKENIZER_TRAINING_OPTIONS",
      "eosToken",
    ],
  ])("%s", async (_what, options, code, says) => {
    const given = { ...plain, ...options } as TrainByteLevelBpeOptions; // wrong on purpose
    const error = await errorOf(() => trainByteLevelBpe(text, given));
    expect(error.code).toBe(code);
    expect(error.message).toContain(says);
  });

  it.each([[[]], [[""]], [["", ""]]])("nothing to learn from: %j", async (texts) => {
    const error = await errorOf(() => trainByteLevelBpe(texts, plain));
    expect(error.code).toBe("TOKENIZER_TRAINING_EMPTY");
    expect(error.message).toContain(String(texts.length));
  });

  it("one string, which is a list of characters to a loop, and texts that are none", async () => {
    expect(await errorOf(() => trainByteLevelBpe("text", plain))).toMatchObject({
      code: "TOKENIZER_TRAINING_OPTIONS",
    });
    const records = [{ text: "a" }] as unknown as string[]; // wrong on purpose
    const error = await errorOf(() => trainByteLevelBpe(records, plain));
    expect(error.message).toContain("text 0 is of the type object");
  });
});

describe("a long training", () => {
  const numbers = Array.from({ length: 3000 }, (_, index) =>
    Array.from({ length: 20 }, (_word, word) => (index * 7919 + word * 104_729).toString(26)).join(
      " ",
    ),
  );

  it("stops on request before, while it reads and while it merges", async () => {
    const before = { ...plain, signal: AbortSignal.abort() };
    expect(await errorOf(() => trainByteLevelBpe(["a b"], before))).toMatchObject({
      code: "ABORTED",
    });
    for (const stage of ["count", "merge"]) {
      const controller = new AbortController();
      const seen: ProgressEvent[] = [];
      const training = trainByteLevelBpe(endless(stage === "count"), {
        specialTokens: [],
        vocabularySize: 1_000_000,
        signal: controller.signal,
        onProgress: (event) => {
          seen.push(event);
          if (event.stage === stage) controller.abort();
        },
      });
      expect(await errorOf(() => training)).toMatchObject({ code: "ABORTED" });
      expect(seen.at(-1)?.stage).toBe(stage);
    }
  });

  function* endless(forEver: boolean): Generator<string> {
    yield* numbers;
    if (forEver) yield* endless(true);
  }

  it("tells how far it is", async () => {
    const seen: ProgressEvent[] = [];
    await trainByteLevelBpe(numbers, {
      ...plain,
      vocabularySize: 2000,
      onProgress: (event) => seen.push(event),
    });
    const counted = seen.findLast(({ stage }) => stage === "count");
    expect(counted?.done).toBe(numbers.join("").length);
    expect(seen.at(-1)).toMatchObject({ stage: "merge", done: 2000, total: 2000, unit: "tokens" });
  });

  it("gives other work its turn", async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    await trainByteLevelBpe(numbers, { ...plain, vocabularySize: 4000 });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });
});
