import { fc, test } from "@fast-check/vitest";
import { byteTokenizer } from "@latentkit/loaders";
import { describe, expect, it } from "vitest";
import { chatTargets } from "./chat-targets.ts";
import { type ContextStream, ignoredTarget, tokenContexts } from "./contexts.ts";
import { documentList, type DocumentStream, type TrainingDocument } from "./documents.ts";
import { chatTokenizer } from "./testing/chat-tokenizer.ts";

const bytes = byteTokenizer();
const chat = await chatTokenizer();
const start = 0;

/** The documents in the order of the list, again and again. */
function inOrder(documents: readonly TrainingDocument[]): DocumentStream {
  let index = 0;
  return {
    next: () => documents[index++ % documents.length] ?? { text: "" },
    state: () => index,
    restore: (state) => (index = Number(state)),
  };
}

async function take(stream: ContextStream, count: number) {
  const contexts = [];
  for (let row = 0; row < count; row++) contexts.push(await stream.next());
  return contexts;
}

const texts = fc.array(fc.string({ unit: "binary-ascii", maxLength: 30 }), {
  minLength: 1,
  maxLength: 6,
});

describe("packed contexts", () => {
  test.prop([texts, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 12 })])(
    "are the documents' tokens in order, each a target once",
    async (list, contextSize, count) => {
      const documents = inOrder(list.map((text) => ({ text })));
      const stream = tokenContexts({ tokenizer: bytes, documents, contextSize, textStart: start });
      const contexts = await take(stream, count);
      const expected: number[] = [];
      while (expected.length <= contextSize * count)
        for (const text of list) expected.push(start, ...bytes.encode(text).ids);
      const length = contextSize * count;
      expect(contexts.flatMap(({ inputs }) => [...inputs])).toEqual(expected.slice(0, length));
      expect(contexts.flatMap(({ targets }) => [...targets])).toEqual(
        expected.slice(1, length + 1),
      );
    },
  );

  test.prop([texts, fc.integer({ min: 1, max: 40 }), fc.nat({ max: 8 }), fc.integer()])(
    "go on from a state as if they had not stopped, through JSON",
    async (list, contextSize, before, seed) => {
      const make = () =>
        tokenContexts({
          tokenizer: bytes,
          documents: documentList(
            list.map((text) => ({ text })),
            { seed },
          ),
          contextSize,
          textStart: start,
        });
      const [first, second] = [make(), make()];
      await take(first, before);
      second.restore(JSON.parse(JSON.stringify(first.state())));
      expect(await take(second, 5)).toEqual(await take(first, 5));
    },
  );
});

const turn = fc.record({
  role: fc.constantFrom("system", "user", "assistant"),
  // Words that the fixture's vocabulary knows, so that encoding a part does not depend on its neighbours.
  content: fc
    .array(fc.constantFrom("hello", "world", "the", "cat"), { minLength: 1, maxLength: 5 })
    .map((words) => words.join(" ")),
});
const conversation = fc.array(turn, { minLength: 1, maxLength: 5 });

describe("targets of a conversation", () => {
  it("are the assistant's words and the mark that ends them", () => {
    const turns = [
      { role: "user", content: "hello world" },
      { role: "assistant", content: "the cat" },
      { role: "user", content: "the" },
      { role: "assistant", content: "hello" },
    ];
    const { ids, targets } = chatTargets(chat, turns);
    const learned = [...ids].filter((_, index) => targets[index] === 1);
    expect(chat.decode(learned)).toBe("the cat<|im_end|>\nhello<|im_end|>\n");
  });

  test.prop([conversation, conversation])(
    "do not depend on what the others say",
    (turns, others) => {
      const replaced = turns.map((one, index) =>
        one.role === "assistant" ? one : { ...one, content: others[index]?.content ?? "cat" },
      );
      const [a, b] = [chatTargets(chat, turns), chatTargets(chat, replaced)];
      const learned = ({ ids, targets }: typeof a) =>
        [...ids].filter((_, index) => targets[index] === 1);
      expect(learned(b)).toEqual(learned(a));
      const said = turns.filter(({ role }) => role === "assistant");
      expect(chat.decode(learned(a))).toBe(
        said.map(({ content }) => `${content}<|im_end|>\n`).join(""),
      );
    },
  );

  test.prop([fc.array(conversation, { minLength: 1, maxLength: 5 })])(
    "stand in contexts that begin with a document and never cut one that fits",
    async (conversations) => {
      const contextSize = 96;
      // An answer that begins behind the context is no target: there has to be one within it.
      fc.pre(
        conversations.some((turns) =>
          chatTargets(chat, turns).targets.subarray(0, contextSize).includes(1),
        ),
      );
      const documents = inOrder(conversations.map((turns) => ({ text: "", turns })));
      const stream = tokenContexts({
        tokenizer: chat,
        documents,
        contextSize,
        targets: "assistant",
      });
      const wanted = conversations
        .map((turns) => chatTargets(chat, turns))
        .filter(({ targets }) => targets.includes(1))
        .map(({ ids, targets }) => ({
          ids: [start, ...ids],
          count: targets.filter(Boolean).length,
        }))
        .filter(({ ids }) => ids.length <= contextSize + 1);
      const contexts = await take(stream, 6);
      let learned = 0;
      for (const { inputs, targets } of contexts) {
        expect(inputs[0]).toBe(start);
        for (const [position, target] of targets.entries()) {
          if (target === ignoredTarget) continue;
          learned += 1;
          if (position + 1 < contextSize) expect(inputs[position + 1]).toBe(target);
        }
      }
      // Whole documents in their order: counts add up to a prefix of the endless list.
      if (wanted.length > 0 && wanted.length === conversations.length) {
        let sum = 0;
        for (let index = 0; sum < learned; index++)
          sum += wanted[index % wanted.length]?.count ?? 0;
        expect(learned).toBe(sum);
      }
    },
  );

  it("cover running text as a whole, but not where it starts, and leave fillers out", async () => {
    const plain = ["hello world", "the cat sat on the mat"];
    const [hello = [], cat = []] = plain.map((text) => [...chat.encode(text).ids]);
    const stream = tokenContexts({
      tokenizer: chat,
      documents: inOrder(plain.map((text) => ({ text }))),
      contextSize: Math.max(hello.length, cat.length) + 3,
      targets: "assistant",
    });
    for (const [index, { inputs, targets }] of (await take(stream, 2)).entries()) {
      const ids = index === 0 ? hello : cat;
      const rest = inputs.length - ids.length;
      expect([...inputs]).toEqual([start, ...ids, ...Array(rest - 1).fill(start)]);
      expect([...targets]).toEqual([...ids, ...Array(rest).fill(ignoredTarget)]);
    }
  });

  it("go on from a state, with a document waiting", async () => {
    const list = [
      { text: "", turns: [{ role: "assistant", content: "hello world hello world" }] },
      { text: "", turns: [{ role: "user", content: "hello" }] },
      { text: "the cat" },
    ];
    const make = () =>
      tokenContexts({
        tokenizer: chat,
        documents: documentList(list, { seed: 4 }),
        contextSize: 20,
        targets: "assistant",
      });
    const [first, second] = [make(), make()];
    await take(first, 3);
    second.restore(JSON.parse(JSON.stringify(first.state())));
    expect(await take(second, 5)).toEqual(await take(first, 5));
  });
});

describe("bad input", () => {
  const documents = inOrder([{ text: "a" }]);

  it("is refused where contexts are made", () => {
    expect(() => tokenContexts({ tokenizer: bytes, documents, contextSize: 0 })).toThrow(
      expect.objectContaining({ code: "CONTEXT_SIZE" }),
    );
    const noStart = { ...bytes, specialTokens: { ...bytes.specialTokens, bos: null, eos: null } };
    expect(() => tokenContexts({ tokenizer: noStart, documents, contextSize: 4 })).toThrow(
      expect.objectContaining({ code: "TEXT_START" }),
    );
    const beyond = { tokenizer: bytes, documents, contextSize: 4, textStart: 1000 };
    expect(() => tokenContexts(beyond)).toThrow(/token 1000 is not in the vocabulary/u);
    expect(() => documentList([], { seed: 1 })).toThrow(
      expect.objectContaining({ code: "DOCUMENTS_EMPTY" }),
    );
  });

  it("is refused where nothing can be learned", async () => {
    const silent = inOrder([{ text: "", turns: [{ role: "user", content: "hello" }] }]);
    const stream = tokenContexts({
      tokenizer: chat,
      documents: silent,
      contextSize: 8,
      targets: "assistant",
    });
    await expect(stream.next()).rejects.toMatchObject({ code: "CONTEXTS_NO_TARGETS" });
  });

  it("is refused as a state", () => {
    const list = documentList([{ text: "a" }, { text: "b" }], { seed: 1 });
    const stream = tokenContexts({
      tokenizer: bytes,
      documents: list,
      contextSize: 4,
      textStart: 0,
    });
    expect(() => stream.restore({ ids: [] })).toThrow(
      expect.objectContaining({ code: "CONTEXTS_STATE" }),
    );
    const other = documentList([{ text: "a" }], { seed: 1 });
    expect(() => list.restore(other.state())).toThrow(/a list of 1 documents, this one has 2/u);
  });
});
