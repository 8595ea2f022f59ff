import fc from "fast-check";
import { expect, test } from "vitest";
import type { Span, WorldDocument } from "../document.ts";
import { binding } from "./binding.ts";
import { ideaFrames, themes } from "./ideas.ts";
import { bindingProbes, copyProbes } from "./probes.ts";
import { repeatWords } from "./repeats.ts";

const world = binding({ seed: 3 });
const documents = Array.from({ length: 6000 }, (_, index) => world.document(index));
const twoIdeas = documents.filter(({ labels }) => labels["kind"] === "two ideas");
const repeats = documents.filter(({ labels }) => labels["kind"] === "repeats");

const labelled = (document: WorldDocument, label: string): Span[] =>
  document.spans.filter((span) => span.label === label);
const textOf = (document: WorldDocument, { start, end }: Span): string =>
  document.text.slice(start, end);

/** Pearson's statistic of independence of a table of counts, and the value it passes with probability 0.001 (Wilson-Hilferty). */
function independence(pairs: readonly (readonly [string, string])[]): {
  statistic: number;
  limit: number;
} {
  const rows = [...new Set(pairs.map(([row]) => row))];
  const columns = [...new Set(pairs.map(([, column]) => column))];
  let statistic = 0;
  for (const row of rows) {
    const inRow = pairs.filter(([one]) => one === row);
    for (const column of columns) {
      const observed = inRow.filter(([, one]) => one === column).length;
      const expected =
        (inRow.length * pairs.filter(([, one]) => one === column).length) / pairs.length;
      statistic += (observed - expected) ** 2 / expected;
    }
  }
  const degrees = (rows.length - 1) * (columns.length - 1);
  const limit = degrees * (1 - 2 / (9 * degrees) + 3.09 * Math.sqrt(2 / (9 * degrees))) ** 3;
  return { statistic, limit };
}

test("a document depends on seed and index alone", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e6 }),
      fc.integer({ min: 0, max: 1e6 }),
      (seed, index) => {
        const other = binding({ seed });
        other.document(index + 1);
        expect(other.document(index)).toEqual(binding({ seed }).document(index));
      },
    ),
    { numRuns: 20 },
  );
});

test("can begin with repeats alone, and goes on as usual", () => {
  const later = binding({ seed: 3, repeatsFirst: 50 });
  for (let index = 0; index < 50; index++)
    expect(later.document(index).labels["kind"]).toBe("repeats");
  for (let index = 50; index < 90; index++) expect(later.document(index)).toEqual(documents[index]);
  expect(() => binding({ seed: 3, repeatsFirst: -1 })).toThrow(
    expect.objectContaining({ code: "WORLD_OPTIONS" }),
  );
});

test("chunks alternate between A and B, and hold no value or vocabulary of the other idea", () => {
  for (const document of twoIdeas) {
    const chunks = labelled(document, "chunk");
    expect(chunks.length).toBeGreaterThanOrEqual(4);
    expect(chunks.map(({ facts }) => facts["idea"])).toEqual(
      chunks.map((_, index) => "AB"[index % 2]),
    );
    for (const chunk of chunks) {
      const { idea } = chunk.facts;
      expect(chunk.facts["subject"]).toBe(document.labels[`subject${idea}`]);
      for (const span of document.spans) {
        if (span.start < chunk.start || span.end > chunk.end) continue;
        expect(span.facts["idea"]).toBe(idea);
        if (span.label === "theme")
          expect(themes[String(document.labels[`theme${idea}`])]).toContain(textOf(document, span));
      }
      expect(textOf(document, chunk).toLowerCase()).toContain(
        String(chunk.facts["subject"]).toLowerCase(),
      );
    }
    expect(document.text).not.toMatch(/[{}]|undefined| {2}/);
  }
});

test("a value is bound to one idea in a document, and recalled as it was bound", () => {
  let recalls = 0;
  for (const document of twoIdeas) {
    const lastChunk = labelled(document, "chunk").at(-1)!;
    const bound = new Map<string, unknown>();
    for (const span of labelled(document, "value")) {
      expect(span.facts["value"]).toBe(textOf(document, span));
      if (span.start > lastChunk.end) continue;
      const key = `${span.facts["idea"]}/${span.facts["attribute"]}`;
      expect(bound.get(key) ?? span.facts["value"]).toBe(span.facts["value"]);
      bound.set(key, span.facts["value"]);
    }
    const frame = ideaFrames.find(({ kind }) => kind === document.labels["frame"])!;
    for (const { name } of frame.attributes)
      if (bound.has(`A/${name}`)) expect(bound.get(`A/${name}`)).not.toBe(bound.get(`B/${name}`));
    for (const recall of labelled(document, "recall")) {
      recalls++;
      const { idea, attribute, value, subject } = recall.facts;
      expect(recall.start).toBeGreaterThan(lastChunk.end);
      expect(bound.get(`${idea}/${attribute}`)).toBe(value);
      expect(textOf(document, recall).toLowerCase()).toContain(String(subject).toLowerCase());
      expect(textOf(document, recall).endsWith(` ${value}.`)).toBe(true);
    }
  }
  expect(recalls).toBeGreaterThan(2 * twoIdeas.length);
});

test("values and themes are independent of the subject and of being A or B", () => {
  for (const frame of ideaFrames) {
    const ofFrame = twoIdeas.filter(({ labels }) => labels["frame"] === frame.kind);
    expect(ofFrame.length).toBeGreaterThan(800);
    for (const { name } of frame.attributes) {
      const bound = ofFrame.flatMap((document) => {
        const values = labelled(document, "value").filter(
          ({ facts }) => facts["attribute"] === name,
        );
        return ["A", "B"].flatMap((letter) => {
          const span = values.find(({ facts }) => facts["idea"] === letter);
          return span === undefined
            ? []
            : [
                {
                  letter,
                  subject: String(document.labels[`subject${letter}`]),
                  value: textOf(document, span),
                },
              ];
        });
      });
      for (const by of ["letter", "subject"] as const) {
        const { statistic, limit } = independence(bound.map((one) => [one[by], one.value]));
        expect(statistic, `${frame.kind}, ${name} by ${by}`).toBeLessThan(limit);
      }
    }
  }
  const { statistic, limit } = independence(
    twoIdeas.flatMap(({ labels }): [string, string][] => [
      [String(labels["subjectA"]), String(labels["themeA"])],
      [String(labels["subjectB"]), String(labels["themeB"])],
    ]),
  );
  expect(statistic).toBeLessThan(limit);
});

test("the chi-square test finds an assignment that is not redrawn", () => {
  const fixed = Array.from({ length: 400 }, (_, index): [string, string] => [
    `subject ${index % 4}`,
    `value ${index % 8 < 6 ? index % 4 : (index + 1) % 4}`,
  ]);
  const { statistic, limit } = independence(fixed);
  expect(statistic).toBeGreaterThan(limit);
});

test("a random sequence is told again word for word", () => {
  expect(repeats.length / documents.length).toBeGreaterThan(0.37);
  expect(repeats.length / documents.length).toBeLessThan(0.43);
  expect(new Set(repeatWords).size).toBe(repeatWords.length);
  for (const document of repeats) {
    const told = new Map<unknown, string[]>();
    for (const span of labelled(document, "repeat")) {
      const { sequence } = span.facts;
      told.set(sequence, [...(told.get(sequence) ?? []), textOf(document, span)]);
    }
    expect(told.size).toBe(document.labels["sequences"]);
    for (const texts of told.values()) {
      expect(texts.length).toBeGreaterThanOrEqual(2);
      expect(new Set(texts).size).toBe(1);
    }
  }
});

test("copy probes go on as the sequence did", () => {
  const probes = copyProbes({ seed: 1, count: 300 });
  expect(copyProbes({ seed: 1, count: 300 })).toEqual(probes);
  for (const { prompt, expected, words, known } of probes) {
    expect(expected).toBe(` ${words[known]}`);
    const [first = "", again = ""] = prompt.split("\n");
    const separator = first.includes(", ") ? ", " : " ";
    expect(first.endsWith(`${words.join(separator)}.`)).toBe(true);
    expect(`${again}${expected}`.endsWith(words.slice(0, known + 1).join(separator))).toBe(true);
    expect(again).not.toContain(expected);
  }
});

test("binding probes ask for one of two values that the text has named", () => {
  const probes = bindingProbes({ seed: 1, count: 300 });
  expect(bindingProbes({ seed: 1, count: 300 })).toEqual(probes);
  const texts = new Set(twoIdeas.map(({ text }) => text));
  for (const { prompt, expected, distractor, subject, attribute } of probes) {
    expect(prompt).toMatch(/[a-z]$/);
    expect(prompt).toContain(expected);
    expect(prompt).toContain(distractor);
    expect(distractor).not.toBe(expected);
    const { recall } = ideaFrames
      .flatMap(({ attributes }) => attributes)
      .find(({ name }) => name === attribute)!;
    const lastSentence = recall.replace(/\{s\}/i, subject).toLowerCase();
    expect(prompt.toLowerCase().endsWith(lastSentence)).toBe(true);
    expect(texts.has(`${prompt}${expected}.`)).toBe(false);
  }
  // As many of A as of B, so that no fixed answer does well: 300 draws stay within 4 standard deviations.
  const ofA = probes.filter(({ idea }) => idea === "A").length;
  expect(Math.abs(ofA - 150)).toBeLessThan(4 * Math.sqrt(300 / 4));
});
