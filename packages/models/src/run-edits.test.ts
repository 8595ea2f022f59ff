// Edits of forward passes.
import { affine, clone, type Tensor } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { smallModel, threeLayers } from "./__fixtures__/small-model.ts";
import { deviation, read, referenceDevice } from "./__fixtures__/support.ts";
import { addVector, replaceWith, scaleBy } from "./edits.ts";
import type { EditContext, SiteEdit } from "./hook-run.ts";

const { device, model } = smallModel({ config: threeLayers });
const tokens = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5, 35, 8, 9, 7, 39],
];
const allSites = model.sites().map((site) => site.name);
const identityEdits = (sites: readonly string[]): SiteEdit[] =>
  sites.map((site) => ({ site, edit: (value) => value }));

describe("edits", () => {
  it("that change nothing change no bit, at any site", async () => {
    for (const site of allSites) {
      // The capture takes the same path, by steps where the site is inside a fused kernel.
      const plain = await read(model, tokens, { capture: [site] });
      const edited = await read(model, tokens, { capture: [site], edits: identityEdits([site]) });
      expect(edited.logits, site).toEqual(plain.logits);
      expect(edited.at(site), site).toEqual(plain.at(site));
      const copied = await read(model, tokens, { edits: [{ site, edit: clone }] });
      expect(deviation(copied.logits, plain.logits), site).toBeLessThan(1e-6);
    }
  });

  it("change what comes after, at every site", async () => {
    const plain = await read(model, tokens);
    for (const site of allSites) {
      const shifted = await read(model, tokens, {
        edits: [{ site, edit: (value) => affine(value, { factor: 1.5, bias: 0.1 }) }],
      });
      expect(deviation(shifted.logits, plain.logits), site).toBeGreaterThan(1e-3);
    }
  });

  it("replacing a value with what another prompt had there gives that prompt's continuation", async () => {
    const other = [tokens[1] ?? [], tokens[0] ?? []];
    const source = await read(model, other, { capture: allSites });
    for (const site of [
      "hook_embed",
      "blocks.1.hook_resid_pre",
      "blocks.2.hook_resid_mid",
      "blocks.2.hook_resid_post",
      "ln_final.hook_normalized",
    ]) {
      const value = device.tensor(source.at(site), source.shape(site));
      const patched = await read(model, tokens, {
        edits: [{ site, edit: replaceWith(value) }],
        capture: [site],
      });
      expect(deviation(patched.logits, source.logits), site).toBeLessThan(1e-5);
      expect(patched.at(site)).toEqual(source.at(site));
      value.dispose();
    }
  });

  it("zero ablation of both outputs of a block makes it the identity", async () => {
    const zero = (site: string): SiteEdit => ({ site, edit: scaleBy(0) });
    const { at } = await read(model, tokens, {
      edits: [zero("blocks.1.hook_attn_out"), zero("blocks.1.hook_mlp_out")],
      capture: ["blocks.1.hook_resid_pre", "blocks.1.hook_resid_post"],
    });
    expect(at("blocks.1.hook_resid_post")).toEqual(at("blocks.1.hook_resid_pre"));
  });

  it("of one site apply in order, and a capture sees the last", async () => {
    const site = "blocks.0.hook_resid_post";
    const plain = await read(model, tokens, { capture: [site] });
    const one = new Float32Array(20).fill(1);
    const edited = await read(model, tokens, {
      capture: [site],
      edits: [
        { site, edit: addVector(one) },
        { site, edit: scaleBy(2) },
      ],
    });
    expect(edited.at(site)).toEqual(plain.at(site).map((x) => Math.fround(2 * Math.fround(x + 1))));
  });

  it("know where they are", async () => {
    const seen: EditContext[] = [];
    const edit = (value: Tensor, context: EditContext) => {
      seen.push(context);
      return value;
    };
    await read(model, tokens, { edits: [{ site: "blocks.1.attn.hook_z", edit }] });
    const rows = tokens.map((ids, index) => ({
      index,
      tokens: ids,
      start: 0,
      end: 7,
      position: 0,
      promptLength: Number.POSITIVE_INFINITY,
    }));
    expect(seen).toMatchObject([
      { site: model.site("blocks.1.attn.hook_z"), tokens, startPosition: 0, rows },
    ]);
  });

  it("keep the caller's tensor alive and apart from the capture", async () => {
    const site = "blocks.2.hook_resid_post";
    const mine = device.zeros([2, 7, 20]);
    const result = model.run(tokens, {
      edits: [{ site, edit: replaceWith(mine) }],
      capture: [site],
    });
    device.backend.kernels.fill(mine.slice, 3);
    expect((await result.captured.get(site)?.floats())?.every((x) => x === 0)).toBe(true);
    result.dispose();
    expect((await mine.floats()).every((x) => x === 3)).toBe(true);
    mine.dispose();
  });

  it.each([
    [
      "another shape",
      (value: Tensor) => value.reshape([value.size]),
      "EDIT_SHAPE",
      /\[280\].*\[2, 7, 20\]/,
    ],
    [
      "a promise",
      (async (value: Tensor) => value) as unknown as (value: Tensor) => Tensor,
      "EDIT_RESULT",
      /promise/,
    ],
    ["nothing", (() => undefined) as unknown as () => Tensor, "EDIT_RESULT", /undefined/],
    [
      "another dtype",
      (value: Tensor) => value.device.zeros(value.shape, "i32"),
      "EDIT_DTYPE",
      /i32/,
    ],
  ])("that return %s are refused, and nothing is left on the device", (_, edit, code, message) => {
    const site = "blocks.1.hook_resid_post";
    expect(() => model.run(tokens, { capture: allSites, edits: [{ site, edit }] })).toThrow(
      expect.objectContaining({ code, where: site, message: expect.stringMatching(message) }),
    );
  });

  it("that return another device's tensor are refused", () => {
    const other = referenceDevice();
    const edit = () => other.zeros([2, 7, 20]);
    expect(() => model.run(tokens, { edits: [{ site: "hook_embed", edit }] })).toThrow(
      expect.objectContaining({ code: "EDIT_DEVICE" }),
    );
    other.dispose();
  });
});
