import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Span, WorldDocument } from "../document.ts";
import {
  colourPatterns,
  endingPatterns,
  eventPatterns,
  openingPatterns,
  recallPatterns,
} from "./patterns.ts";
import { stories } from "./stories.ts";
import { template } from "./template.ts";

const world = stories({ seed: 7 });
const documents = Array.from({ length: 400 }, (_, index) => world.document(index));

const labelled = (document: WorldDocument, label: string): Span[] =>
  document.spans.filter((span) => span.label === label);
const textOf = (document: WorldDocument, { start, end }: Span): string =>
  document.text.slice(start, end);
const inside = (outer: Span, spans: readonly Span[]): Span[] =>
  spans.filter(({ start, end }) => start >= outer.start && end <= outer.end);

test("a document depends on seed and index alone", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e6 }),
      fc.integer({ min: 0, max: 1e6 }),
      (seed, index) => {
        const document = stories({ seed }).document(index);
        const other = stories({ seed });
        other.document(index + 1);
        expect(other.document(index)).toEqual(document);
      },
    ),
    { numRuns: 20 },
  );
  expect(stories({ seed: 8 }).document(0).text).not.toBe(world.document(0).text);
  expect(new Set(documents.map(({ text }) => text)).size).toBe(documents.length);
});

test("there are more than forty sentence patterns, and documents have a few hundred tokens", () => {
  const groups = [eventPatterns, recallPatterns, openingPatterns].flatMap((group) =>
    Object.values(group).flat(),
  );
  expect(groups.length + colourPatterns.length + endingPatterns.length).toBeGreaterThan(60);
  for (const { text } of documents) {
    expect(text.length).toBeGreaterThan(600);
    expect(text.length).toBeLessThan(2000);
  }
});

test("chapters cover the document, paragraphs the chapters, sentences the paragraphs, and nothing else lies between", () => {
  for (const document of documents) {
    const chapters = labelled(document, "chapter");
    expect(chapters).toHaveLength(Number(document.labels["chapters"]));
    expect(chapters.map((span) => textOf(document, span)).join("\n\n")).toBe(document.text);
    for (const chapter of chapters) {
      const headings = inside(chapter, labelled(document, "heading"));
      const paragraphs = inside(chapter, labelled(document, "paragraph"));
      expect(headings).toHaveLength(1);
      expect([...headings, ...paragraphs].map((span) => textOf(document, span)).join("\n\n")).toBe(
        textOf(document, chapter),
      );
      for (const [index, paragraph] of paragraphs.entries()) {
        expect(paragraph.facts["index"]).toBe(index);
        const sentences = inside(paragraph, labelled(document, "sentence"));
        expect(sentences.map((span) => textOf(document, span)).join(" ")).toBe(
          textOf(document, paragraph),
        );
        expect(sentences.map(({ facts }) => facts["index"])).toEqual([...sentences.keys()]);
      }
    }
    expect(labelled(document, "sentence")).toHaveLength(Number(document.labels["sentences"]));
  }
});

test("sentences begin with a capital, end with a stop, and leave no slot or mark", () => {
  for (const document of documents) {
    for (const span of labelled(document, "sentence"))
      expect(textOf(document, span)).toMatch(/^"?[A-Z][^{}/]*[.?]"?$/);
    expect(document.text).not.toMatch(/\s{3}| {2}|undefined/);
  }
});

test("content words carry their part of speech, function words none", () => {
  const tags = new Map<string, Set<unknown>>();
  for (const document of documents) {
    for (const span of labelled(document, "word")) {
      const word = textOf(document, span);
      expect(word).toMatch(/^[A-Za-z'-]+$/);
      tags.set(word, (tags.get(word) ?? new Set()).add(span.facts["tag"]));
    }
  }
  expect(tags.get("walked")).toEqual(new Set(["verb"]));
  expect(tags.get("slowly")).toEqual(new Set(["adverb"]));
  expect(tags.get("cellar")).toEqual(new Set(["noun"]));
  expect(tags.get("wooden")).toEqual(new Set(["adjective"]));
  for (const word of ["the", "The", "to", "and", "she", "was"]) expect(tags.has(word)).toBe(false);
});

/** Who holds what and who is where, replayed from the labels of the sentences and nothing else. */
class Replay {
  readonly at = new Map<string, string>();
  readonly where = new Map<string, string>();

  apply(facts: Span["facts"]): void {
    const [what, actor, other, thing, place] = ["what", "actor", "other", "thing", "place"].map(
      (key) => String(facts[key]),
    ) as [string, string, string, string, string];
    if (facts["kind"] === "opening") {
      if (what === "position") this.at.set(actor, place);
      if (what === "lies") this.where.set(thing, place);
    } else if (what === "move") this.at.set(actor, place);
    else if (what === "take") {
      expect(this.where.get(thing), "taken where it lay").toBe(this.at.get(actor));
      this.where.set(thing, `with ${actor}`);
    } else if (what === "put") {
      expect(this.where.get(thing), "put down by its holder").toBe(`with ${actor}`);
      expect(place).toBe(this.at.get(actor));
      this.where.set(thing, place);
    } else if (what === "give") {
      expect(this.where.get(thing), "given by its holder").toBe(`with ${actor}`);
      expect(this.at.get(other), "given to somebody present").toBe(this.at.get(actor));
      this.where.set(thing, `with ${other}`);
    } else if (what === "tell" || what === "ask")
      expect(this.at.get(other), "told to somebody present").toBe(this.at.get(actor));
  }
}

describe("the state holds together", () => {
  test("what sentences recall is what the events before made", () => {
    const seen = new Map<string, number>();
    for (const document of documents) {
      const replay = new Replay();
      for (const { facts } of labelled(document, "sentence")) {
        replay.apply(facts);
        const { kind, what, actor, thing, place, where } = facts;
        seen.set(`${kind}/${what}`, (seen.get(`${kind}/${what}`) ?? 0) + 1);
        const truth = replay.where.get(String(thing));
        if (kind === "recall" && what === "position")
          expect(replay.at.get(String(actor))).toBe(place);
        if (kind === "recall" && what === "lies") expect(truth).toBe(place);
        if (what === "holder") expect(truth).toBe(`with ${actor}`);
        if (what === "tell" || what === "knows") expect(where).toBe(truth);
        if (what === "mistaken") expect(where).not.toBe(truth);
        if (what === "ignorant") expect(where).toBeUndefined();
      }
    }
    for (const [group, patterns] of [
      ["event", eventPatterns],
      ["recall", recallPatterns],
      ["opening", openingPatterns],
    ] as const)
      for (const what of Object.keys(patterns))
        expect(seen.get(`${group}/${what}`)).toBeGreaterThan(20);
  });

  test("nobody knows what they neither saw nor were told, and the text says so", () => {
    for (const document of documents) {
      const replay = new Replay();
      // Who can have learned where a thing is: by being there at some time, or by being told.
      const learned = new Map<string, Set<string>>();
      const learn = (who: string, thing: string, where: string): void => {
        const key = `${who}/${thing}`;
        learned.set(key, (learned.get(key) ?? new Set()).add(where));
      };
      for (const span of labelled(document, "sentence")) {
        replay.apply(span.facts);
        const opening = span.facts["kind"] === "opening" && span.facts["what"] !== "goal";
        for (const [thing, where] of replay.where) {
          const holder = where.startsWith("with ") ? where.slice(5) : undefined;
          const place = holder === undefined ? where : replay.at.get(holder);
          for (const [who, at] of replay.at) if (at === place) learn(who, thing, where);
        }
        if (opening) continue;
        for (const { facts } of inside(span, labelled(document, "knows"))) {
          const { who, thing, state, where } = facts;
          if (state === "learns") learn(String(who), String(thing), String(where));
          const ways = learned.get(`${who}/${thing}`);
          if (state === "knows" || state === "mistaken") expect(ways).toContain(where);
        }
      }
    }
  });

  test("a place named in a sentence's labels stands in its text wherever the pattern shows it", () => {
    for (const document of documents.slice(0, 100)) {
      for (const span of labelled(document, "sentence")) {
        for (const place of inside(span, labelled(document, "place"))) {
          expect([span.facts["place"], span.facts["where"]]).toContain(place.facts["name"]);
          expect(textOf(document, place)).toContain(String(place.facts["name"]));
        }
        for (const thing of inside(span, labelled(document, "thing")))
          expect(textOf(document, thing).toLowerCase()).toBe(`the ${span.facts["thing"]}`);
      }
    }
  });
});

test("a pronoun stands only where the sentence before names that character alone", () => {
  let pronouns = 0;
  for (const document of documents) {
    const sentences = labelled(document, "sentence");
    const named = sentences.map(
      (span) =>
        new Set(inside(span, labelled(document, "character")).map(({ facts }) => facts["name"])),
    );
    for (const [index, sentence] of sentences.entries()) {
      for (const span of inside(sentence, labelled(document, "character"))) {
        if (!/^(?:she|he)$/i.test(textOf(document, span))) continue;
        pronouns++;
        expect(sentence.facts["index"]).not.toBe(0);
        expect(named[index - 1]).toEqual(new Set([span.facts["name"]]));
      }
    }
  }
  expect(pronouns).toBeGreaterThan(200);
});

test("patterns compile to text, tagged words and slots", () => {
  expect(template("{a} ran/v to {p}.")).toEqual([
    { kind: "slot", name: "a" },
    { kind: "text", text: " " },
    { kind: "word", text: "ran", tag: "verb" },
    { kind: "text", text: " to " },
    { kind: "slot", name: "p" },
    { kind: "text", text: "." },
  ]);
});
