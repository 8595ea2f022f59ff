import type { Tensor } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { smallModel } from "./__fixtures__/small-model.ts";
import { read } from "./__fixtures__/support.ts";
import { patchFrom } from "./patch.ts";

const width = 12;
const { model } = smallModel();

const site = "blocks.0.hook_resid_post";
const tokens = [
  [3, 1, 4, 1, 5],
  [2, 6, 5, 3, 5],
];

describe("patchFrom", () => {
  const other = [[9, 8, 7, 6, 5, 4, 3]];

  it("takes another run's values, each row its own or one for all", async () => {
    const swapped = [tokens[1] ?? [], tokens[0] ?? []];
    using source = model.run(swapped, { capture: [site] });
    const captured = source.captured.get(site) as Tensor;
    const there = await captured.floats();
    const whole = await read(model, tokens, {
      edits: [{ site, edit: patchFrom(captured) }],
      capture: [site],
    });
    expect(whole.at(site)).toEqual(there);
    using one = model.run(other, { capture: [site] });
    const single = one.captured.get(site) as Tensor;
    const values = await single.floats();
    const plain = await read(model, tokens, { capture: [site] });
    const run = await read(model, tokens, {
      capture: [site],
      edits: [{ site, edit: patchFrom(single, { positions: [1, 4], from: [6, 0] }) }],
    });
    const mapped = new Map([
      [1, 6],
      [4, 0],
    ]);
    const expected = plain.at(site).map((x, index) => {
      const [token, feature] = [Math.floor(index / width), index % width];
      const from = mapped.get(token % 5);
      return from === undefined ? x : (values[from * width + feature] ?? Number.NaN);
    });
    expect(run.at(site)).toEqual(expected);
  });

  it("counts positions from each padded row's first token", async () => {
    using one = model.run(other, { capture: [site] });
    const single = one.captured.get(site) as Tensor;
    const values = await single.floats();
    const run = await read(model, [[1, 2, 3], [4]], {
      padding: "left",
      capture: [site],
      edits: [{ site, edit: patchFrom(single, { where: ({ position }) => position === 0 }) }],
    });
    expect(run.at(site).subarray(0, width)).toEqual(values.subarray(0, width));
    expect(run.at(site).subarray(5 * width)).toEqual(values.subarray(0, width));
  });

  it("refuses positions that do not go together or are not there", () => {
    using source = model.run([[1, 2]], { capture: [site] });
    const captured = source.captured.get(site) as Tensor;
    const code = expect.objectContaining({ code: "PATCH_POSITIONS" });
    expect(() => patchFrom(captured, { from: [1] })).toThrow(code);
    expect(() => patchFrom(captured, { positions: [1, 2], from: [1] })).toThrow(code);
    expect(() => patchFrom(captured, { positions: [[1], [2]], from: [1, 1] })).toThrow(code);
    expect(() => model.run(tokens, { edits: [{ site, edit: patchFrom(captured) }] })).toThrow(code);
    expect(() =>
      model.run(tokens, { edits: [{ site: "logits", edit: patchFrom(captured) }] }),
    ).toThrow(expect.objectContaining({ code: "EDIT_WIDTH" }));
  });
});
