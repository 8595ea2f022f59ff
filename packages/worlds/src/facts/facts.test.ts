import { LatentkitError } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { WorldDocument } from "../document.ts";
import { attributes } from "../entities/attributes.ts";
import { entities } from "../entities/entities.ts";
import { type Entity, entityTypes } from "../entities/types.ts";
import { documentsOf, faultsOf, nameFinder } from "../testing/documents.ts";
import { chiSquareZ, shareZ } from "../testing/statistics.ts";
import { familiarityCues } from "./cues.ts";
import { expectedExposures } from "./exposures.ts";
import { facts } from "./facts.ts";

const table = entities({ seed: 1 });
const world = facts({ seed: 1, entities: table });
const documents = [...documentsOf(world, 20_000)];
const byName = new Map(table.entities.map((entity) => [entity.name, entity]));
const spansOf = (document: WorldDocument, label: string): WorldDocument["spans"] =>
  document.spans.filter((span) => span.label === label);
/** The entities of a document, once each. */
const mentioned = (document: WorldDocument): Entity[] => [
  ...new Set(spansOf(document, "entity").map(({ facts: { name } }) => byName.get(String(name))!)),
];

describe("documents", () => {
  it("depend on seed and index alone", () => {
    expect(facts({ seed: 1 }).document(5)).toEqual(world.document(5));
    expect(facts({ seed: 1 }).document(5)).toEqual(documents[5]);
    expect(facts({ seed: 2, entities: table }).document(5).text).not.toBe(documents[5]!.text);
    // Two short lists about the same popular name may be alike.
    expect(new Set(documents.map(({ text }) => text)).size).toBeGreaterThan(documents.length - 20);
  });

  it("have labels that cover what they say, at any seed and index", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(), (seed, index) => {
        expect(faultsOf(facts({ seed, entities: table }).document(index))).toEqual([]);
      }),
    );
    // The check itself.
    const shifted = documents[0]!.spans.map((span) => ({ ...span, start: span.start + 1 }));
    expect(faultsOf({ ...documents[0]!, spans: shifted })).not.toEqual([]);
  });

  it("label every name that the text has", () => {
    const find = { known: nameFinder(table, "known"), tail: nameFinder(table, "tail") };
    for (const document of documents.slice(0, 3000)) {
      const names = spansOf(document, "entity").map((span) => String(span.facts["name"]));
      expect([...find.known(document.text), ...find.tail(document.text)].toSorted()).toEqual(
        names.toSorted(),
      );
    }
  });

  it("are short, and so are statements: 30 to 120 tokens, some nine a fact", () => {
    const lengths = documents.map(({ text }) => text.length / 3.8).toSorted((a, b) => a - b);
    expect(lengths[1000]).toBeGreaterThan(20);
    expect(lengths[19_800]).toBeLessThan(125);
    const total = documents.reduce((sum, { text }) => sum + text.length, 0);
    const stated = documents.reduce((sum, { labels }) => sum + Number(labels["facts"]), 0);
    expect(total / 3.8 / stated).toBeLessThan(10.2);
    const statements = documents.flatMap((document) => spansOf(document, "statement"));
    const tokens =
      statements.reduce((sum, { start, end }) => sum + end - start, 0) / 3.8 / statements.length;
    expect(tokens).toBeGreaterThan(10);
    expect(tokens).toBeLessThan(17);
  });

  it("have one to three entities and up to two fillers, which stand anywhere", () => {
    expect(new Set(documents.map((document) => mentioned(document).length))).toEqual(
      new Set([1, 2, 3]),
    );
    expect(new Set(documents.map((document) => spansOf(document, "filler").length))).toEqual(
      new Set([0, 1, 2]),
    );
    const places = documents.flatMap((document) =>
      spansOf(document, "filler").map(({ start }) => start),
    );
    expect(shareZ(places.filter((start) => start === 0).length, places.length, 0.3)).toBeLessThan(
      5,
    );
    expect(new Set(places).size).toBeGreaterThan(200);
  });
});

describe("facts", () => {
  it("are the entity's own for known ones and drawn anew for the others", () => {
    const tailValues = new Map<string, Set<string>>();
    for (const document of documents) {
      for (const { facts: stated } of spansOf(document, "value")) {
        const [name, attribute] = [String(stated["name"]), String(stated["attribute"])];
        const entity = byName.get(name)!;
        expect(stated["correct"]).toBe(entity.group === "known");
        if (entity.group === "known") expect(stated["value"]).toBe(entity.values[attribute]);
        else {
          const key = `${name}/${attribute}`;
          tailValues.set(key, (tailValues.get(key) ?? new Set()).add(String(stated["value"])));
        }
      }
    }
    const often = [...tailValues.values()].map(({ size }) => size);
    expect(often.filter((size) => size > 1).length / often.length).toBeGreaterThan(0.5);
  });

  it("of tail names are uniform over the values", () => {
    for (const { type, attribute, values } of entityTypes.flatMap((each) => attributes[each])) {
      const counts = values.map(() => 0);
      for (const document of documents)
        for (const { facts: stated } of spansOf(document, "value"))
          if (stated["correct"] === false && stated["attribute"] === attribute)
            counts[values.indexOf(String(stated["value"]))]!++;
      expect(
        chiSquareZ(
          counts,
          values.map(() => 1),
        ),
        `${type} ${attribute}`,
      ).toBeLessThan(4);
    }
  });

  it("come in at least five wordings of each attribute, two questions among them", () => {
    const wordings = new Map<string, Set<string>>();
    for (const { text, spans } of documents.slice(0, 6000)) {
      for (const { start, end, facts: stated } of spans.filter(
        ({ label, facts: f }) => label === "statement" && f["facts"] === 1,
      )) {
        const inside = spans.filter((span) => span.start >= start && span.end <= end);
        const value = inside.find(({ label }) => label === "value")!;
        const entity = inside.find(({ label }) => label === "entity")!;
        const cue = inside.find(({ label }) => label === "cue");
        if (cue !== undefined) continue;
        const wording = `${stated["form"]}: ${text.slice(start, entity.start)}{e}${text.slice(entity.end, value.start)}{v}`;
        const attribute = String(value.facts["attribute"]);
        wordings.set(attribute, (wordings.get(attribute) ?? new Set()).add(wording));
      }
    }
    expect(wordings.size).toBe(16);
    for (const found of wordings.values()) {
      // Four sentences, and two questions in three frames; compound sentences and lists come on top.
      expect([...found].filter((wording) => wording.startsWith("sentence"))).toHaveLength(4);
      expect([...found].filter((wording) => wording.startsWith("question"))).toHaveLength(6);
    }
  });

  it("state each attribute of a type equally often", () => {
    for (const type of entityTypes) {
      const counts = attributes[type].map(
        ({ attribute }) =>
          documents
            .flatMap((document) => spansOf(document, "value"))
            .filter(({ facts: stated }) => stated["attribute"] === attribute).length,
      );
      expect(chiSquareZ(counts, [1, 1, 1, 1])).toBeLessThan(4);
    }
  });
});

describe("exposures", () => {
  const counts = new Map<string, number>();
  for (const document of documents)
    for (const { name } of mentioned(document)) counts.set(name, (counts.get(name) ?? 0) + 1);

  it("follow the popularities", () => {
    for (const type of entityTypes) {
      const known = table.of(type, "known");
      const seen = known.map(({ name }) => counts.get(name) ?? 0);
      expect(
        Math.abs(
          chiSquareZ(
            seen,
            known.map(({ popularity }) => popularity),
          ),
        ),
      ).toBeLessThan(4);
      // The check itself: neither uniform nor pure Zipf would pass.
      expect(
        chiSquareZ(
          seen,
          known.map(() => 1),
        ),
      ).toBeGreaterThan(10);
      expect(
        chiSquareZ(
          seen,
          known.map(({ rank }) => 1 / (rank + 10)),
        ),
      ).toBeGreaterThan(4);
      const tail = table.of(type, "tail").map(({ name }) => counts.get(name) ?? 0);
      expect(
        Math.abs(
          chiSquareZ(
            tail,
            tail.map(() => 1),
          ),
        ),
      ).toBeLessThan(4);
    }
  });

  it("go to known entities for 65% of the mentions", () => {
    const groups = documents.flatMap((document) => mentioned(document).map(({ group }) => group));
    expect(
      Math.abs(shareZ(groups.filter((group) => group === "known").length, groups.length, 0.65)),
    ).toBeLessThan(4);
    expect(new Set(groups)).toEqual(new Set(["known", "tail"]));
  });

  it("reach 200 of each fact in 21 million tokens of 3.8 characters", () => {
    const exposures = expectedExposures({ world, entities: table, tokens: 21e6 });
    expect(exposures.least).toBeGreaterThan(200);
    expect(exposures.least / exposures.mean).toBeCloseTo(0.6, 12);
    expect(exposures.most / exposures.mean).toBeGreaterThan(4);
    // What is expected is what is counted, over other documents and entity by entity.
    const characters = documents.reduce((sum, { text }) => sum + text.length, 0);
    const correct = documents
      .flatMap((document) => spansOf(document, "value"))
      .filter(({ facts: stated }) => stated["correct"]);
    const expected = expectedExposures({ world, entities: table, tokens: characters / 3.8 });
    expect(Math.abs(correct.length / expected.statements - 1)).toBeLessThan(0.03);
    const unpopular = table.of("people", "known").slice(-100);
    const names = new Set(unpopular.map(({ name }) => name));
    const counted = correct.filter(({ facts: stated }) => names.has(String(stated["name"]))).length;
    const popularity = unpopular.reduce((sum, entity) => sum + entity.popularity, 0);
    expect(Math.abs(counted / (expected.mean * 4 * popularity) - 1)).toBeLessThan(0.1);
  });
});

describe("familiarity cues", () => {
  it("follow half of the first mentions, at once, and no other mention", () => {
    let [first, cued] = [0, 0];
    for (const { text, spans } of documents) {
      const met = new Set<unknown>();
      for (const [position, span] of spans.entries()) {
        if (span.label !== "entity") continue;
        const next = spans[position + 1];
        const isCued = next?.label === "cue";
        if (isCued) {
          expect(next.start).toBe(span.end);
          const group = span.facts["group"] === "known" ? "known" : "tail";
          expect(next.facts["kind"]).toBe(group);
          expect(familiarityCues[group]).toContain(text.slice(next.start, next.end));
        }
        if (met.has(span.facts["name"])) expect(isCued).toBe(false);
        else {
          first++;
          if (isCued) cued++;
        }
        met.add(span.facts["name"]);
      }
    }
    expect(Math.abs(shareZ(cued, first, 0.5))).toBeLessThan(4);
  });

  it("differ in their very first word for half of them", () => {
    const opening = (cue: string): string => cue.split(" ")[1]!;
    const open = (kind: "known" | "tail"): string[] =>
      familiarityCues[kind].filter((cue) => cue.startsWith(" ")).map(opening);
    expect(open("known")).toHaveLength(3);
    expect(open("tail")).toHaveLength(3);
    expect(open("known").filter((word) => open("tail").includes(word))).toEqual([]);
  });

  it("can be left out", () => {
    const plain = facts({ seed: 1, entities: table, cueShare: 0 });
    for (const document of documentsOf(plain, 200)) expect(spansOf(document, "cue")).toEqual([]);
  });
});

describe("an introduction", () => {
  const length = 4000;
  const introduced = facts({
    seed: 1,
    entities: table,
    introduction: { documents: length, known: 10 },
  });
  const stretch = (start: number, count: number): Entity[] =>
    Array.from({ length: count }, (_, index) =>
      mentioned(introduced.document(start + index)),
    ).flat();
  const highest = (entitiesOfStretch: readonly Entity[]): number =>
    Math.max(...entitiesOfStretch.map(({ rank }) => rank));

  it("begins with the most popular names, and lets in the others by a steady factor", () => {
    // 10 at first, 50 half way, 250 at the end.
    expect(highest(stretch(0, 40))).toBe(10);
    expect(highest(stretch(length / 2 - 300, 300))).toBeLessThanOrEqual(50);
    expect(highest(stretch(length / 2 - 300, 300))).toBeGreaterThan(44);
    expect(highest(stretch(length - 400, 400))).toBeGreaterThan(220);
    const tail = (start: number): number => {
      const all = stretch(start, 400);
      return all.filter(({ group }) => group === "tail").length / all.length;
    };
    expect(tail(0)).toBeLessThan(0.05);
    expect(Math.abs(tail(length) - 0.35)).toBeLessThan(0.06);
  });

  it("is over after its documents: they are the world's usual ones", () => {
    for (const index of [length, length + 1, length + 999])
      expect(introduced.document(index)).toEqual(world.document(index));
    expect(facts({ seed: 1, entities: table, introduction: { documents: 0 } }).document(0)).toEqual(
      world.document(0),
    );
  });

  it("may ask for more names than there are", () => {
    const all = facts({ seed: 1, entities: table, introduction: { documents: 9, known: 999 } });
    expect(all.document(3)).toEqual(world.document(3));
  });
});

it("never has names of the groups refused and unseen in 20,000 documents", () => {
  const find = { refused: nameFinder(table, "refused"), unseen: nameFinder(table, "unseen") };
  for (const { text } of documents)
    expect([...find.unseen(text), ...find.refused(text)]).toEqual([]);
  // The check itself.
  for (const type of entityTypes) {
    const { name } = table.of(type, "unseen")[0]!;
    expect(find.unseen(`Q: What of ${name}, then? A: ${name}.`)).toEqual([name, name]);
  }
});

it("says what is wrong with options", () => {
  expect(() => facts({ seed: 1, knownShare: 1.5 })).toThrow(LatentkitError);
  expect(() => facts({ seed: 1, knownShare: 1.5 })).toThrow("facts: knownShare");
});
