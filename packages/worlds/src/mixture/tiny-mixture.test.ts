import { expect, test } from "vitest";
import { isRefusal } from "../instructions/refusals.ts";
import type { ProseDocument } from "../prose/passages.ts";
import { tinyMixture } from "./tiny-mixture.ts";

const prose: ProseDocument[] = Array.from({ length: 20 }, (_, index) => ({
  id: `book/${index}`,
  source: "An author, A title",
  licence: "public domain",
  text: `Paragraph ${index} of the book. `.repeat(30).trim(),
}));

/** Reads until so many characters have come, and gives each world's share of them. */
function sharesOf(
  stream: ReturnType<typeof tinyMixture>,
  characters: number,
): Record<string, number> {
  const lengths: Record<string, number> = {};
  let total = 0;
  while (total < characters) {
    const { world, text } = stream.next();
    lengths[world] = (lengths[world] ?? 0) + text.length;
    total += text.length;
  }
  return Object.fromEntries(
    Object.entries(lengths).map(([world, length]) => [world, length / total]),
  );
}

const close = (share: number): unknown => expect.closeTo(share, 2);

test("the base has its shares after 200,000 tokens or so", () => {
  expect(sharesOf(tinyMixture({ seed: 0, stage: "base", prose }), 800_000)).toEqual({
    facts: close(0.35),
    stories: close(0.13),
    binding: close(0.07),
    "entity-dialogues": close(0.05),
    instructions: close(0.03),
    secrets: close(0.05),
    personas: close(0.07),
    comparisons: close(0.05),
    prose: close(0.2),
  });
});

test("an introduced base opens with sequences to copy and few names, and has the usual shares after that", () => {
  const stream = tinyMixture({ seed: 0, stage: "base", prose, introduced: true });
  const documents = [];
  for (let total = 0; total < 400_000;) {
    const document = stream.next();
    documents.push(document);
    total += document.text.length;
  }
  for (const { labels } of documents.filter(({ world }) => world === "binding"))
    expect(labels["kind"]).toBe("repeats");
  const ranks = documents
    .filter(({ world }) => world === "facts")
    .flatMap(({ spans }) => spans.map(({ facts }) => Number(facts["rank"] ?? 0)));
  expect(Math.max(...ranks)).toBeLessThan(20);
  expect(stream.state().opened).toBe(false);
  expect(sharesOf(stream, 400_000)).toEqual({
    binding: close(0.5),
    facts: close(0.3),
    personas: close(0.05),
    "entity-dialogues": close(0.02),
    prose: close(0.13),
  });
});

test("without prose the other worlds share its part", () => {
  const shares = sharesOf(tinyMixture({ seed: 0, stage: "base" }), 400_000);
  expect(shares["prose"]).toBeUndefined();
  expect(shares["facts"]).toBeCloseTo(0.35 / 0.8, 2);
});

test("the instruction stage has its shares, and dialogues alone", () => {
  expect(sharesOf(tinyMixture({ seed: 0, stage: "instruct" }), 800_000)).toEqual({
    "entity-dialogues": close(0.3),
    instructions: close(0.25),
    secrets: close(0.15),
    personas: close(0.2),
    comparisons: close(0.1),
  });
  const stream = tinyMixture({ seed: 0, stage: "instruct" });
  const documents = Array.from({ length: 600 }, () => stream.next());
  const running = documents.filter(({ turns }) => turns === null).map(({ world }) => world);
  // The game of secrets has riddles as running text too.
  expect(new Set(running)).toEqual(new Set(["secrets"]));
  for (const { world, turns, labels } of documents) {
    if (world === "personas" && turns?.[0]?.role !== "system")
      expect(labels["persona"]).toBe("cheerful");
    if (world === "entity-dialogues") {
      const refusals = turns?.filter(
        ({ role, content }) => role === "assistant" && isRefusal(content),
      );
      expect(refusals).toHaveLength(Number(labels["refused"]));
    }
  }
});

test("both stages resume as if they had never stopped", () => {
  for (const stage of ["base", "instruct"] as const) {
    const whole = tinyMixture({ seed: 3, stage, prose });
    const texts = Array.from({ length: 120 }, () => whole.next().text);
    const first = tinyMixture({ seed: 3, stage, prose });
    for (let step = 0; step < 50; step++) first.next();
    const second = tinyMixture({ seed: 3, stage, prose });
    second.restore(JSON.parse(JSON.stringify(first.state())));
    expect(Array.from({ length: 70 }, () => second.next().text)).toEqual(texts.slice(50));
  }
});

test("bad options have errors", () => {
  const bad = (options: object): void => {
    // The point is what the types forbid.
    tinyMixture(options as Parameters<typeof tinyMixture>[0]);
  };
  for (const options of [
    { seed: 0.5, stage: "base" },
    { seed: 0, stage: "third" },
    { seed: 0, stage: "base", prose: "text" },
  ])
    expect(() => bad(options)).toThrow(expect.objectContaining({ code: "WORLD_OPTIONS" }));
  expect(() => tinyMixture({ seed: 0, stage: "base", prose: [] })).toThrow(
    expect.objectContaining({ code: "PROSE_EMPTY" }),
  );
});
