import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { smallModel } from "./__fixtures__/small-model.ts";
import { read } from "./__fixtures__/support.ts";
import type { EditPositions, EditToken } from "./edit-positions.ts";
import { addVector, projectOut, replaceWith, scaleBy } from "./edits.ts";

const width = 8;
const { device, model } = smallModel({ config: { layers: 1, dModel: width, dHead: 4 } });

const site = "blocks.0.hook_resid_post";
const tokens = [
  [3, 1, 4, 1, 5, 9],
  [2, 6, 5],
  [8, 1, 1, 7],
];
const run = { padding: "left" as const, promptLengths: [2, 3, 1], capture: [site] };
const length = 6;

/** Runs with and without the edit: which tokens changed, as the model sees it, by row. */
async function changed(options: EditPositions): Promise<number[][]> {
  const plain = await read(model, tokens, run);
  const edit = replaceWith(new Float32Array(width).fill(1e3), options);
  const edited = await read(model, tokens, { ...run, edits: [{ site, edit }] });
  return tokens.map((ids, row) =>
    ids.flatMap((_, position) => {
      const at = (row * length + length - ids.length + position) * width;
      const now = edited.at(site).subarray(at, at + width);
      const before = plain.at(site).subarray(at, at + width);
      // All or nothing, and nothing to the bit.
      const all = now.every((x) => x === 1e3);
      if (!all) expect(now).toEqual(before);
      return all ? [position] : [];
    }),
  );
}

describe("an edit applies", () => {
  it.each<[string, EditPositions, number[][]]>([
    [
      "everywhere by default",
      {},
      [
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2],
        [0, 1, 2, 3],
      ],
    ],
    ["at positions", { positions: [0, 3, 4] }, [[0, 3, 4], [0], [0, 3]]],
    ["at positions of each row", { positions: [[5], [], [1, 2]] }, [[5], [], [1, 2]]],
    ["at no position", { positions: [] }, [[], [], []]],
    ["to the prompt", { part: "prompt" }, [[0, 1], [0, 1, 2], [0]]],
    ["to what was generated", { part: "generated" }, [[2, 3, 4, 5], [], [1, 2, 3]]],
    ["where a function says so", { where: ({ id }) => id === 1 }, [[1, 3], [], [1, 2]]],
    [
      "where all of these say so",
      { part: "generated", positions: [1, 3, 4], where: ({ row, id }) => row === 2 || id > 2 },
      [[4], [], [1, 3]],
    ],
  ])("%s", async (_, options, expected) => {
    expect(await changed(options)).toEqual(expected);
  });

  it("and tells the function about each token, of padding nothing", async () => {
    const seen: EditToken[] = [];
    const where = (token: EditToken) => {
      seen.push(token);
      return false;
    };
    await read(model, tokens, { ...run, edits: [{ site, edit: scaleBy(0, { where }) }] });
    expect(seen).toEqual(
      tokens.flatMap((ids, row) =>
        ids.map((id, position) => ({
          id,
          position,
          row,
          generated: position >= (run.promptLengths[row] ?? 0),
        })),
      ),
    );
  });

  test.prop([fc.array(fc.array(fc.nat(7), { maxLength: 6 }), { minLength: 3, maxLength: 3 })], {
    numRuns: 20,
  })("at any positions of any rows", async (positions) => {
    const expected = tokens.map((ids, row) =>
      [...new Set(positions[row])].filter((at) => at < ids.length).sort((a, b) => a - b),
    );
    expect(await changed({ positions })).toEqual(expected);
  });

  it("to the logits of the last position, where only they are computed", async () => {
    const edit = replaceWith(new Float32Array(20).fill(7), { positions: [[5], [1], [3]] });
    for (const padding of ["left", "right"] as const) {
      const { logits } = await read(model, tokens, {
        padding,
        logits: "last",
        edits: [{ site: "logits", edit }],
      });
      expect(logits.subarray(0, 20).every((x) => x === 7)).toBe(true);
      expect(logits.subarray(20, 40).some((x) => x === 7)).toBe(false);
      expect(logits.subarray(40).every((x) => x === 7)).toBe(true);
    }
  });

  it("through projectOut and addVector as well", async () => {
    const options = { positions: [[1], [0], []] };
    const plain = await read(model, tokens, run);
    for (const edit of [
      projectOut([[1, 0, 0, 0, 0, 0, 0, 0]], options),
      addVector([1, 0, 0, 0, 0, 0, 0, 0], options),
    ]) {
      const { at } = await read(model, tokens, { ...run, edits: [{ site, edit }] });
      const differing = [...at(site)].flatMap((x, index) =>
        x === plain.at(site)[index] ? [] : [index],
      );
      expect(differing).toEqual([1 * width, (length + 3) * width]);
    }
  });
});

describe("strengths by row", () => {
  const vectors = [0, 1, 2].map((row) =>
    Float32Array.from({ length: width }, (_, i) => row * 10 + i),
  );
  const rowOf = (index: number) => Math.floor(index / (length * width));

  it("scale a vector or a value", async () => {
    const plain = (await read(model, tokens, run)).at(site);
    const vector = vectors[1] ?? [];
    const added = await read(model, tokens, {
      ...run,
      edits: [{ site, edit: addVector(vector, { scale: [0, 2, -1] }) }],
    });
    expect(added.at(site)).toEqual(
      plain.map((x, index) =>
        Math.fround(x + ([0, 2, -1][rowOf(index)] ?? 0) * (vector[index % width] ?? 0)),
      ),
    );
    const scaled = await read(model, tokens, {
      ...run,
      edits: [{ site, edit: scaleBy([1, 0, -2]) }],
    });
    expect(scaled.at(site)).toEqual(plain.map((x, index) => ([1, 0, -2][rowOf(index)] ?? 0) * x));
  });

  it("take one vector a row, from the host or the device, by the rows' indices", async () => {
    using tensor = device.tensor(Float32Array.from(vectors.flatMap((one) => [...one])), [3, width]);
    for (const vector of [vectors, tensor]) {
      const { at } = await read(model, tokens, {
        ...run,
        edits: [{ site, edit: replaceWith(vector) }],
      });
      expect(at(site)).toEqual(
        at(site).map((_, index) => vectors[rowOf(index)]?.[index % width] ?? Number.NaN),
      );
      const subset = await read(model, [tokens[2] ?? [], tokens[0] ?? []], {
        ...run,
        promptLengths: undefined,
        rowIndices: [2, 0],
        edits: [{ site, edit: replaceWith(vector) }],
      });
      expect(subset.at(site)[0]).toBe(20);
      expect(subset.at(site).at(-1)).toBe(7);
    }
  });

  it.each([
    ["too few strengths", addVector(new Float32Array(width), { scale: [1, 2] }), "EDIT_ROWS"],
    ["too few factors", scaleBy([1]), "EDIT_ROWS"],
    ["too few lists of positions", scaleBy(0, { positions: [[1], [2]] }), "EDIT_ROWS"],
    ["too few vectors", addVector([[1, 2, 3, 4, 5, 6, 7, 8]]), "EDIT_ROWS"],
    ["vectors of another width", addVector([[1], [2], [3]]), "EDIT_WIDTH"],
  ])("refuse %s", (_, edit, code) => {
    expect(() => model.run(tokens, { ...run, edits: [{ site, edit }] })).toThrow(
      expect.objectContaining({ code, where: site }),
    );
  });
});
