import { LatentkitError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { chiSquareZ, independenceZ } from "../testing/statistics.ts";
import { allAttributes, attributes } from "./attributes.ts";
import { entities, popularities } from "./entities.ts";
import { namePatterns } from "./name-pieces.ts";
import { pieceGrid } from "./piece-grid.ts";
import { entityGroups, entityTypes } from "./types.ts";

const table = entities({ seed: 7 });

describe("names", () => {
  it("has the asked number of names of each group, all different, within and across types", () => {
    for (const type of entityTypes)
      expect(entityGroups.map((group) => table.of(type, group).length)).toEqual([
        250, 1000, 300, 200,
      ]);
    expect(table.entities).toHaveLength(4 * 1750);
    expect(new Set(table.entities.map(({ name }) => name)).size).toBe(table.entities.length);
  });

  it("uses every piece equally often in each group, so that none tells the group", () => {
    for (const type of entityTypes) {
      for (const [group, each] of [
        ["known", 5],
        ["tail", 20],
        ["refused", 6],
        ["unseen", 4],
      ] as const) {
        for (const piece of ["first", "second"] as const) {
          const counts = new Map<string, number>();
          for (const entity of table.of(type, group))
            counts.set(entity[piece], (counts.get(entity[piece]) ?? 0) + 1);
          expect(counts.size).toBe(50);
          expect(new Set(counts.values())).toEqual(new Set([each]));
        }
      }
    }
  });

  it("keeps the balance up to one where counts are no multiples of the pools", () => {
    const uneven = entities({ seed: 1, known: 123, tail: 456, refused: 77, unseen: 31 });
    for (const [group, count] of [
      ["known", 123],
      ["tail", 456],
      ["refused", 77],
      ["unseen", 31],
    ] as const) {
      const members = uneven.of("works", group);
      expect(members).toHaveLength(count);
      const counts = namePatterns.works.second.map(
        (piece) => members.filter(({ second }) => second === piece).length,
      );
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
  });

  it("has pieces that belong to one pool and are no values", () => {
    const pieces = Object.values(namePatterns).flatMap(({ first, second }) => [
      ...first,
      ...second,
    ]);
    expect(pieces).toHaveLength(400);
    expect(new Set(pieces).size).toBe(400);
    const values = new Set(
      allAttributes.flatMap((attribute) => attribute.values.map((value) => value.toLowerCase())),
    );
    expect(pieces.filter((piece) => values.has(piece.toLowerCase()))).toEqual([]);
  });

  it("mixes the groups over the grid: the difference of the pieces' numbers says nothing", () => {
    const size = 50;
    const byDifference = (grid: Int8Array): number[][] => {
      const counts = Array.from({ length: size }, () => [0, 0, 0, 0, 0]);
      for (const [cell, group] of grid.entries())
        counts[((((cell % size) - Math.floor(cell / size)) % size) + size) % size]![group + 1]!++;
      return counts;
    };
    for (const seed of [1, 2, 3])
      expect(
        Math.abs(independenceZ(byDifference(pieceGrid(size, [250, 1000, 300, 200], seed, 0)))),
      ).toBeLessThan(4);
    // The check itself: diagonals alone, as the grid is before the shuffle, are found out.
    const diagonals = Int8Array.from({ length: size * size }, (_, cell) => {
      const difference = ((cell % size) - Math.floor(cell / size) + size) % size;
      return Math.floor(difference / 10) - 1;
    });
    expect(independenceZ(byDifference(diagonals))).toBeGreaterThan(20);
  });
});

describe("attributes", () => {
  it("has four a type with twelve to sixteen values and five wordings, one of them ordinal", () => {
    for (const type of entityTypes) {
      expect(attributes[type]).toHaveLength(4);
      expect(attributes[type].filter(({ ordinal }) => ordinal)).toHaveLength(1);
    }
    for (const { values, statements, questions, predicates, ordinal } of allAttributes) {
      expect(values.length).toBeGreaterThanOrEqual(12);
      expect(values.length).toBeLessThanOrEqual(16);
      expect(new Set(values).size).toBe(values.length);
      expect(statements.length + questions.length).toBeGreaterThanOrEqual(5);
      for (const template of statements) expect(template).toMatch(/\{e\}.* \{v\}\.$/);
      for (const template of predicates) expect(template).toMatch(/ \{v\}$/);
      for (const template of questions) expect(template).toMatch(/\{e\}.*\?$/);
      if (ordinal) expect(values.map(Number)).toEqual(values.map(Number).toSorted((a, b) => a - b));
    }
    expect(new Set(allAttributes.map(({ attribute }) => attribute)).size).toBe(16);
  });

  it("deals every value to as many known entities as any other, up to one", () => {
    for (const { type, attribute, values } of allAttributes) {
      const counts = values.map(
        (value) =>
          table.of(type, "known").filter((entity) => entity.values[attribute] === value).length,
      );
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
    expect(table.of("people", "tail")[0]!.values).toEqual({});
  });

  it("deals values without regard to pieces and to popularity", () => {
    const scores: number[] = [];
    for (const { type, attribute, values } of allAttributes) {
      const known = table.of(type, "known");
      for (const piece of ["first", "second"] as const) {
        const pool = namePatterns[type][piece];
        const counts = pool.map((word) =>
          values.map(
            (value) =>
              known.filter((entity) => entity[piece] === word && entity.values[attribute] === value)
                .length,
          ),
        );
        scores.push(independenceZ(counts));
      }
      const halves = [known.slice(0, 125), known.slice(125)];
      scores.push(
        independenceZ(
          halves.map((half) =>
            values.map(
              (value) => half.filter((entity) => entity.values[attribute] === value).length,
            ),
          ),
        ),
      );
    }
    expect(Math.max(...scores.map(Math.abs))).toBeLessThan(4.5);
    // The check itself: a value that follows the first piece is found out.
    const planted = namePatterns.people.first.map((_, row) =>
      Array.from({ length: 16 }, (__, column) => (row % 16 === column ? 5 : 0)),
    );
    expect(independenceZ(planted)).toBeGreaterThan(10);
  });
});

describe("popularity", () => {
  it("falls like 1 / (rank + 10) down to the floor, with mean one", () => {
    const weights = popularities(250, 0.6);
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(250, 9);
    expect(weights[249]).toBeCloseTo(0.6, 12);
    // Linear in 1 / (rank + 10).
    const slope = (a: number, b: number): number =>
      (weights[a]! - weights[b]!) / (1 / (a + 11) - 1 / (b + 11));
    expect(slope(0, 1)).toBeCloseTo(slope(100, 200), 9);
    expect(slope(0, 1)).toBeGreaterThan(0);
    // Pure Zipf's least weight is 250 / 260 / (H(260) - H(10)) of the mean: a lower floor changes nothing.
    expect(popularities(250, 0.1)[249]).toBeCloseTo(0.29947, 5);
    expect(popularities(1, 0.6)).toEqual([1]);
  });

  it("holds the asked share out of dialogues, at every popularity", () => {
    for (const type of entityTypes) {
      const known = table.of(type, "known");
      expect(known.filter(({ inDialogues }) => !inDialogues)).toHaveLength(50);
      expect(known.slice(0, 50).filter(({ inDialogues }) => !inDialogues)).toHaveLength(10);
      expect(known.map(({ rank }) => rank)).toEqual(known.map((_, position) => position + 1));
      expect(table.of(type, "unseen").some(({ inDialogues }) => inDialogues)).toBe(false);
    }
  });
});

it("is the same for the same seed, and another for another", () => {
  expect(entities({ seed: 7 }).entities).toEqual(table.entities);
  const other = entities({ seed: 8 }).of("people", "known");
  const same = other.filter(({ name }) =>
    table.of("people", "known").some((entity) => entity.name === name),
  );
  expect(same.length).toBeLessThan(60); // a tenth is expected: 250 of 2,500 names
  expect(chiSquareZ([same.length, 250 - same.length], [1, 9])).toBeLessThan(4);
});

it("says what is wrong with options", () => {
  const codeOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof LatentkitError) return error.code;
    }
    return "none";
  };
  expect(codeOf(() => entities({ seed: 0.5 }))).toBe("WORLD_OPTIONS");
  expect(codeOf(() => entities({ seed: 1, floor: 0 }))).toBe("WORLD_OPTIONS");
  expect(codeOf(() => entities({ seed: 1, tail: 2000 }))).toBe("ENTITIES_TOO_MANY");
  expect(() => entities({ seed: 1, tail: 2000 })).toThrow("250 + 2000 + 300 + 200 names a type");
});
