import { fc, test } from "@fast-check/vitest";
import { Random } from "@latentkit/core";
import { registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { sampleContexts, topContexts } from "./contexts.ts";
import {
  coFirings,
  collectColumns,
  countFirings,
  densities,
  documentDensity,
  type FiringBlock,
  type TokenTable,
} from "./firing.ts";

registerMatchers(expect);

/** Two documents, four contexts of eight tokens; the first position of each context is masked. */
const table: TokenTable = {
  ids: Int32Array.from({ length: 32 }, (_, row) => row),
  documents: Int32Array.from({ length: 32 }, (_, row) => Math.floor(row / 16)),
  contexts: Int32Array.from({ length: 32 }, (_, row) => Math.floor(row / 8)),
  positions: Int32Array.from({ length: 32 }, (_, row) => row % 8),
  masks: Uint8Array.from({ length: 32 }, (_, row) => (row % 8 === 0 ? 1 : 0)),
  documentIds: ["first", "second"],
};

/** Blocks of the unmasked tokens, from a dense `[32][n]` matrix. */
function blocksOf(
  activation: (row: number, latent: number) => number,
  n: number,
  size = 5,
): FiringBlock[] {
  const rows = Array.from(table.ids).filter((row) => table.masks[row] === 0);
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, block) => {
    const tokens = rows.slice(block * size, (block + 1) * size);
    const entries = tokens.map((row) =>
      Array.from({ length: n }, (_unused, latent) => ({
        latent,
        value: activation(row, latent),
      })).filter(({ value }) => value >= 0),
    );
    return {
      tokens: Int32Array.from(tokens),
      counts: Int32Array.from(entries, (row) => row.length),
      indices: Int32Array.from(entries.flat(), ({ latent }) => latent),
      values: Float32Array.from(entries.flat(), ({ value }) => value),
    };
  });
}

describe("countFirings", () => {
  test.prop([fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 1, max: 30 })], { numRuns: 30 })(
    "equals counting the dense matrix",
    async (seed, size) => {
      const random = new Random(seed);
      const matrix = Array.from({ length: 32 }, () =>
        Array.from({ length: 6 }, () =>
          random.uniform() < 0.4 ? Math.round(4 * random.uniform()) / 4 : -1,
        ),
      );
      const value = (row: number, latent: number): number => matrix[row]?.[latent] ?? -1;
      const counts = await countFirings(blocksOf(value, 6, size), 6, table);
      const kept = matrix.filter((_, row) => table.masks[row] === 0);
      // Entries of exactly 0 are kept by TopK, but do not fire.
      expect(Array.from(counts.firings)).toEqual(
        Array.from(
          { length: 6 },
          (_, latent) => kept.filter((row) => (row[latent] ?? 0) > 0).length,
        ),
      );
      expect(counts.tokens).toBe(28);
      expect(Array.from(counts.tokensByDocument)).toEqual([14, 14]);
      expect(counts.activeByDocument.reduce((sum, active) => sum + active, 0)).toBe(
        counts.firings.reduce((sum, firings) => sum + firings, 0),
      );
    },
  );

  it("gives densities with intervals, wider over documents when documents differ", async () => {
    // Latent 0 fires all through the first document only; latent 1 on every second token.
    const blocks = blocksOf(
      (row, latent) => (latent === 0 ? (row < 16 ? 1 : -1) : row % 2 === 1 ? 1 : -1),
      2,
    );
    const counts = await countFirings(blocks, 2, table);
    const [first, second] = densities(counts);
    expect([first?.value, second?.value]).toEqual([0.5, 16 / 28]);
    const columns = await collectColumns(blocks, [0, 1]);
    const [wide, narrow] = [0, 1].map((latent) => {
      const column = columns.get(latent);
      return column === undefined ? null : documentDensity(column, table, counts, 3, latent);
    });
    expect([wide?.low, wide?.high]).toEqual([0, 1]);
    expect(narrow?.low).toBe(narrow?.high);
  });
});

describe("columns and co-firing", () => {
  it("never fire together for two halves of one signed coordinate, and as often as chance for independent ones", async () => {
    const random = new Random(4);
    const signed = Float64Array.from({ length: 32 }, () => random.normal());
    const blocks = blocksOf((row, latent) => {
      const coordinate = signed[row] ?? 0;
      return latent === 0 ? coordinate : latent === 1 ? -coordinate : 1;
    }, 3);
    const columns = await collectColumns(blocks, [0, 1, 2]);
    const [plus, minus, always] = [columns.get(0), columns.get(1), columns.get(2)];
    if (plus === undefined || minus === undefined || always === undefined)
      throw new TypeError("columns missing");
    expect(coFirings(plus, minus)).toBe(0);
    expect(coFirings(plus, always)).toBe(plus.tokens.length);
    expect(plus.tokens.length + minus.tokens.length).toBe(28);
  });
});

describe("contexts", () => {
  const column = {
    tokens: Int32Array.of(1, 2, 6, 9, 17, 20, 25),
    values: Float32Array.of(1, 5, 2, 4, 3, 9, 0.5),
  };

  it("shows the strongest firing of each context, new documents first, strongest first", () => {
    expect(topContexts(column, table, 3).map((window) => window.peak)).toEqual([20, 2, 9]);
    expect(topContexts(column, table, 2).map((window) => window.peak)).toEqual([20, 2]);
    expect(topContexts(column, table, 9).map((window) => window.peak)).toEqual([20, 2, 9, 25]);
  });

  it("cuts windows at the context, with every activation in its place", () => {
    const [window] = topContexts(column, table, 1, { before: 4, after: 2 });
    expect(window).toMatchObject({ start: 16, end: 23, kind: "top" });
    expect(Array.from(window?.activations ?? [])).toEqual([0, 3, 0, 0, 9, 0, 0]);
    expect(topContexts(column, table, 2)[1]).toMatchObject({ start: 0, end: 8 });
  });

  it("samples near the quantiles, the same for the same seed", () => {
    const large = {
      tokens: Int32Array.from({ length: 28 }, (_, row) => row),
      values: Float32Array.from({ length: 28 }, (_, row) => row + 1),
    };
    const windows = sampleContexts(large, table, [0.9, 0.1], new Random(1));
    expect(windows.map((window) => window.peak)).toEqual(
      sampleContexts(large, table, [0.9, 0.1], new Random(1)).map((window) => window.peak),
    );
    expect(windows[0]?.peak).toBeGreaterThanOrEqual(22);
    expect(windows[1]?.peak).toBeLessThanOrEqual(5);
    expect(
      sampleContexts(
        { tokens: new Int32Array(), values: new Float32Array() },
        table,
        [0.5],
        new Random(1),
      ),
    ).toEqual([]);
  });
});
