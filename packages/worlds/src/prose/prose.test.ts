import fc from "fast-check";
import { expect, test } from "vitest";
import { passageLength, passagesOf, type ProseDocument } from "./passages.ts";
import { parseProse, prose } from "./prose.ts";

const sentence = fc
  .array(fc.stringMatching(/^[a-z]{1,9}$/), { minLength: 1, maxLength: 30 })
  .map((words) => `${words.join(" ")}.`);
const paragraph = fc.array(sentence, { minLength: 1, maxLength: 25 }).map((all) => all.join(" "));
const text = fc.array(paragraph, { maxLength: 12 }).map((all) => all.join("\n\n"));

const document = (id: string, body: string): ProseDocument => ({
  id,
  source: "An author, A title",
  licence: "public domain",
  text: body,
});
const words = (body: string): string[] => body.split(/\s+/).filter((word) => word !== "");

test("passages keep every word in order, and their length within bounds", () => {
  fc.assert(
    fc.property(text, (body) => {
      const passages = passagesOf([document("d", body)]);
      expect(passages.flatMap(({ paragraphs }) => paragraphs.flatMap(words))).toEqual(words(body));
      for (const [index, { paragraphs, id }] of passages.entries()) {
        const { length } = paragraphs.join("\n\n");
        expect(id).toBe(`d/${index}`);
        expect(length).toBeLessThanOrEqual(passageLength.most);
        if (index < passages.length - 1) expect(length).toBeGreaterThanOrEqual(passageLength.least);
      }
    }),
  );
});

test("a long paragraph is cut where a sentence ends, not after a title", () => {
  const plain = "The house stood upon a hill, and nobody went near it. ".repeat(12);
  const titled = "She met Mr. Brown of the hill there and spoke with Mrs. Green too. ".repeat(30);
  const passages = passagesOf([document("d", plain.trim()), document("e", titled.trim())]);
  expect(passages.length).toBeGreaterThan(2);
  for (const { paragraphs } of passages)
    for (const one of paragraphs) expect(one).toMatch(/(?:it|too)\.$/);
});

test("each epoch shows every passage once, in an order of its own", () => {
  const body = Array.from({ length: 40 }, (_, index) => `${index} `.padEnd(400, "word ")).join(
    "\n\n",
  );
  const world = prose({ seed: 5, documents: [document("d", body)] });
  const epoch = (number: number): string[] =>
    Array.from({ length: world.passages }, (_, index) =>
      String(world.document(number * world.passages + index).labels["passage"]),
    );
  expect(world.passages).toBe(40);
  const [first, second] = [epoch(0), epoch(1)];
  expect(new Set(first).size).toBe(40);
  expect([...second].sort()).toEqual([...first].sort());
  expect(second).not.toEqual(first);
  // Going back across the border of epochs changes nothing.
  const other = prose({ seed: 5, documents: [document("d", body)] });
  expect(other.document(45)).toEqual(world.document(45));
  expect(other.document(3)).toEqual(world.document(3));
  expect(other.document(46)).toEqual(world.document(46));
});

test("spans are the paragraphs", () => {
  const body = `${"a ".repeat(100)}end.\n\n${"b ".repeat(100)}end.`;
  const {
    text: shown,
    spans,
    labels,
  } = prose({ seed: 0, documents: [document("d", body)] }).document(0);
  expect(spans.map(({ start, end }) => shown.slice(start, end)).join("\n\n")).toBe(shown);
  expect(shown).toBe(body);
  expect(labels).toEqual({
    source: "An author, A title",
    licence: "public domain",
    passage: "d/0",
  });
});

test("bad input has errors that say where", () => {
  expect(() => prose({ seed: 0, documents: [] })).toThrow(
    expect.objectContaining({ code: "PROSE_EMPTY" }),
  );
  expect(() => prose({ seed: 0, documents: [document("d", " \n\n ")] })).toThrow(
    expect.objectContaining({ code: "PROSE_EMPTY" }),
  );
  const good = JSON.stringify(document("d", "text"));
  expect(parseProse(`${good}\n\n${good}\n`)).toHaveLength(2);
  for (const bad of ["{", '{"id":"x"}', "3"])
    expect(() => parseProse(`${good}\n${bad}`)).toThrow(
      expect.objectContaining({ code: "PROSE_LINE", message: expect.stringContaining("line 2") }),
    );
});
