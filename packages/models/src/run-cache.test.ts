// Forward passes that go on from earlier ones.
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { smallModel, threeLayers } from "./__fixtures__/small-model.ts";
import { deviation, read } from "./__fixtures__/support.ts";
import type { SiteEdit } from "./hook-run.ts";

const { model } = smallModel({ config: threeLayers });
const tokens = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5, 35, 8, 9, 7, 39],
];
const allSites = model.sites().map((site) => site.name);

describe("a KV cache", () => {
  test.prop([fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 })], {
    numRuns: 10,
  })("gives the same logits in pieces of any size", async (sizes) => {
    const length = sizes.reduce((sum, size) => sum + size, 0);
    const rows = [0, 1].map((row) =>
      Array.from({ length }, (_, index) => (7 * index + 11 * row) % 40),
    );
    const whole = await read(model, rows);
    using cache = model.createCache({ batch: 2, capacity: length + 3 });
    let start = 0;
    for (const size of sizes) {
      const part = await read(
        model,
        rows.map((row) => row.slice(start, start + size)),
        { cache },
      );
      for (const row of [0, 1]) {
        const { vocabulary } = model.config;
        const from = (row * length + start) * vocabulary;
        const given = part.logits.subarray(row * size * vocabulary, (row + 1) * size * vocabulary);
        expect(
          deviation(given, whole.logits.subarray(from, from + size * vocabulary)),
        ).toBeLessThan(1e-5);
      }
      start += size;
      expect(cache.length).toBe(start);
    }
  });

  it("gives the same sites, by steps too, and scores over all keys", async () => {
    const whole = await read(model, [tokens[0] ?? []], { capture: allSites });
    using cache = model.createCache({ capacity: 9 });
    await read(model, [[3, 1, 4, 1]], { cache });
    const rest = await read(model, [[5, 9, 2]], { cache, capture: allSites });
    expect(rest.shape("blocks.1.attn.hook_pattern")).toEqual([1, 4, 3, 7]);
    expect(
      deviation(
        rest.at("blocks.2.hook_resid_post"),
        whole.at("blocks.2.hook_resid_post").subarray(4 * 20),
      ),
    ).toBeLessThan(1e-5);
    const pattern = Float32Array.from(
      [0, 1, 2, 3].flatMap((head) => [
        ...whole.at("blocks.1.attn.hook_pattern").subarray((head * 7 + 4) * 7, (head + 1) * 49),
      ]),
    );
    expect(deviation(rest.at("blocks.1.attn.hook_pattern"), pattern)).toBeLessThan(1e-5);
  });

  it("tells edits where they are, runs all layers, and can be cut back", async () => {
    using cache = model.createCache({ capacity: 12 });
    const starts: number[] = [];
    const edits: SiteEdit[] = [
      {
        site: "hook_embed",
        edit: (value, { startPosition }) => (starts.push(startPosition), value),
      },
    ];
    await read(model, [[3, 1, 4]], { cache, edits, logits: "none" });
    const first = await read(model, [[1, 5]], { cache, edits });
    cache.truncate(3);
    const again = await read(model, [[1, 5]], { cache, edits });
    expect(again.logits).toEqual(first.logits);
    expect(starts).toEqual([0, 3, 3]);
    expect(() => cache.truncate(6)).toThrow(expect.objectContaining({ code: "CACHE_LENGTH" }));
  });

  it("is as it was after a run that throws", async () => {
    using cache = model.createCache({ capacity: 8 });
    await read(model, [[3, 1]], { cache });
    const edits: SiteEdit[] = [
      { site: "blocks.2.hook_mlp_out", edit: (value) => value.reshape([value.size]) },
    ];
    expect(() => model.run([[4, 1]], { cache, edits })).toThrow(
      expect.objectContaining({ code: "EDIT_SHAPE" }),
    );
    expect(cache.length).toBe(2);
    const rest = await read(model, [[4, 1]], { cache });
    const whole = await read(model, [[3, 1, 4, 1]]);
    expect(deviation(rest.logits, whole.logits.subarray(2 * 40))).toBeLessThan(1e-5);
  });

  it("refuses what does not fit", () => {
    using cache = model.createCache({ batch: 2, capacity: 4 });
    expect(() => model.run([[1]], { cache })).toThrow(
      expect.objectContaining({ code: "CACHE_BATCH" }),
    );
    const five = [1, 2, 3, 4, 5];
    expect(() => model.run([five, five], { cache })).toThrow(
      expect.objectContaining({ code: "CACHE_FULL" }),
    );
  });
});
