import { ConfigError } from "@latentkit/core";
import { renderChat } from "@latentkit/loaders";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wordId, wordTokenizer } from "./__fixtures__/word-tokenizer.ts";
import { chatDocument } from "./document.ts";
import { defaultPacking, packDocument, packDocuments } from "./packing.ts";

const policy = { ...defaultPacking, contextSize: 4, minimumTokens: 1 };
const tokenizer = wordTokenizer({ bos: 2 });
const document = { id: "d", text: "one two three four five six" };

describe("packDocument", () => {
  it("cuts a document in order and pads the last context", () => {
    const { contexts, tokens, dropped } = packDocument(tokenizer, document, 3, policy);
    expect([tokens, dropped]).toEqual([6, 0]);
    expect(contexts.map(({ length, firstPosition }) => [length, firstPosition])).toEqual([
      [4, 0],
      [2, 4],
    ]);
    const second = contexts[1];
    expect([...(second?.tokens ?? [])]).toEqual([wordId("five"), wordId("six"), 0, 0]);
    expect([...(second?.starts ?? [])]).toEqual([18, 23, 27, 27]);
    expect([...(second?.ends ?? [])]).toEqual([23, 27, 27, 27]);
    expect(second).toMatchObject({ document: 3, documentId: "d", roles: [null, null, null, null] });
    expect([...(second?.turns ?? [])]).toEqual([-1, -1, -1, -1]);
  });

  it("puts BOS before each context, with an empty span", () => {
    const { contexts } = packDocument(tokenizer, document, 0, { ...policy, prependBos: true });
    expect(contexts.map((context) => context.tokens[0])).toEqual([2, 2]);
    expect(contexts.map(({ starts, ends }) => [starts[0], ends[0], starts[1]])).toEqual([
      [0, 0, 0],
      [13, 13, 13],
    ]);
    expect(contexts.map((context) => context.firstPosition)).toEqual([0, 3]);
  });

  it("puts no second BOS where the text begins with one", () => {
    const beginsWithBos = {
      ...tokenizer,
      encode: (text: string) => ({
        ...tokenizer.encode(text),
        ids: Int32Array.of(2, 20, 21, 22, 23, 24),
      }),
    };
    const { contexts } = packDocument(beginsWithBos, document, 0, { ...policy, prependBos: true });
    expect(contexts.map((context) => [...context.tokens])).toEqual([
      [2, 20, 21, 22],
      [2, 23, 24, 0],
    ]);
  });

  it("drops a tail that is too short, and says how much", () => {
    const packed = packDocument(tokenizer, document, 0, { ...policy, minimumTokens: 3 });
    expect(packed.contexts).toHaveLength(1);
    expect(packed.dropped).toBe(2);
    expect(packDocument(tokenizer, { id: "e", text: "" }, 0, policy)).toEqual({
      contexts: [],
      tokens: 0,
      dropped: 0,
    });
  });

  it("takes only the start of a document where asked", () => {
    const pack = (documentTokens: number) =>
      packDocument(tokenizer, document, 0, { ...policy, documentTokens });
    expect(pack(4)).toMatchObject({ tokens: 6, dropped: 2, contexts: [{ length: 4 }] });
    expect(pack(5)).toMatchObject({
      tokens: 6,
      dropped: 1,
      contexts: [{ length: 4 }, { length: 1 }],
    });
    expect(pack(100)).toEqual(packDocument(tokenizer, document, 0, policy));
  });

  it("carries role and turn of every token of a chat, and spans in the rendered text", () => {
    const messages = [
      { role: "user", content: "how many moons" },
      { role: "assistant", content: "two" },
    ];
    const rendered = renderChat(tokenizer, messages);
    const { contexts } = packDocument(tokenizer, chatDocument("c", messages), 0, policy);
    const tokens = contexts.flatMap(({ length, ...context }) =>
      Array.from({ length }, (_, at) => ({
        text: rendered.text.slice(context.starts[at], context.ends[at]),
        role: context.roles[at],
        turn: context.turns[at],
      })),
    );
    expect(tokens.map((token) => token.text).join("")).toBe(rendered.text);
    expect(tokens.find((token) => token.text.includes("moons"))).toMatchObject({
      role: "user",
      turn: 0,
    });
    expect(tokens.find((token) => token.text.includes("two"))).toMatchObject({
      role: "assistant",
      turn: 1,
    });
  });

  it("refuses impossible policies, and BOS without one in the tokenizer", () => {
    const pack = (changes: object) => () =>
      packDocument(wordTokenizer(), document, 0, { ...policy, ...changes });
    expect(pack({ contextSize: 0 })).toThrow(ConfigError);
    expect(pack({ minimumTokens: 5 })).toThrow(ConfigError);
    expect(pack({ minimumTokens: 3, documentTokens: 2 })).toThrow(ConfigError);
    expect(pack({ contextSize: 1, prependBos: true })).toThrow(ConfigError);
    expect(pack({ prependBos: true })).toThrow("no BOS token");
  });

  const word = fc
    .string({ minLength: 1, maxLength: 5 })
    .map((text) => text.replaceAll(/\s/gu, "x"));
  const text = fc.array(word, { maxLength: 40 }).map((words) => words.join(" "));

  it("covers every token exactly once, in order, and spans map to the text", () => {
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: 2, max: 9 }),
        fc.boolean(),
        (body, contextSize, prependBos) => {
          const packing = { ...policy, contextSize, prependBos };
          const encoded = tokenizer.encode(body);
          const { contexts } = packDocument(tokenizer, { id: "p", text: body }, 0, packing);
          const lead = prependBos ? 1 : 0;
          expect(
            contexts.flatMap(({ tokens, length }) => [...tokens.subarray(lead, length)]),
          ).toEqual([...encoded.ids]);
          const covered = contexts.flatMap(({ starts, ends, length }) =>
            Array.from({ length: length - lead }, (_, at) =>
              body.slice(starts[lead + at], ends[lead + at]),
            ),
          );
          expect(covered.join("")).toBe(body);
          for (const context of contexts) {
            expect(context.tokens).toHaveLength(contextSize);
            expect([...context.tokens.subarray(context.length)].every((id) => id === 0)).toBe(true);
          }
        },
      ),
    );
  });

  it("loses only tails below the minimum", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 6 }), (body, minimumTokens) => {
        const packed = packDocument(tokenizer, { id: "p", text: body }, 0, {
          ...policy,
          contextSize: 6,
          minimumTokens,
        });
        const kept = packed.contexts.reduce((sum, { length }) => sum + length, 0);
        expect(kept + packed.dropped).toBe(packed.tokens);
        expect(packed.dropped).toBeLessThan(minimumTokens);
      }),
    );
  });
});

describe("packDocuments", () => {
  it("numbers documents as they come, also those without a context", async () => {
    const documents = [document, { id: "empty", text: "" }, { id: "f", text: "seven" }];
    const seen: [number, string][] = [];
    for await (const context of packDocuments(tokenizer, documents, policy))
      seen.push([context.document, context.documentId]);
    expect(seen).toEqual([
      [0, "d"],
      [0, "d"],
      [2, "f"],
    ]);
  });
});
