import { add, mul, type Tensor } from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { testCodec } from "./__fixtures__/latent-codec.ts";
import { smallModel } from "./__fixtures__/small-model.ts";
import { deviation, read } from "./__fixtures__/support.ts";
import { addVector, projectOut, replaceWith, scaleBy } from "./edits.ts";
import type { EditFunction } from "./hook-run.ts";
import { splice } from "./splice.ts";

const width = 12;
const { device, model } = smallModel();
const codec = testCodec(device, width);
afterAll(() => codec.dispose());

const site = "blocks.0.hook_resid_post";
const tokens = [
  [3, 1, 4, 1, 5],
  [2, 6, 5, 3, 5],
];
const inner = ["input", "acts_pre", "acts_post", "recons", "error", "output"].map(
  (name) => `${site}.hook_sae_${name}`,
);
const floats = (values: readonly number[]) => Float32Array.from(values);
const plus = (a: Float32Array, b: Float32Array) =>
  a.map((x, index) => x + (b[index] ?? Number.NaN));

describe("splice", () => {
  it("puts the reconstruction in the value's place, with SAELens's sites inside", async () => {
    const plain = await read(model, tokens, { capture: [site] });
    const expected = codec.onHost(plain.at(site));
    const run = await read(model, tokens, {
      edits: [splice(site, codec)],
      capture: [site, ...inner.filter((name) => !name.endsWith("error"))],
    });
    expect(deviation(run.at(site), floats(expected.recons))).toBeLessThan(1e-6);
    expect(run.at(`${site}.hook_sae_input`)).toEqual(plain.at(site));
    expect(deviation(run.at(`${site}.hook_sae_acts_pre`), floats(expected.pre))).toBeLessThan(1e-6);
    expect(deviation(run.at(`${site}.hook_sae_acts_post`), floats(expected.acts))).toBeLessThan(
      1e-6,
    );
    expect(run.shape(`${site}.hook_sae_acts_post`)).toEqual([2, 5, codec.latents]);
    expect(run.at(`${site}.hook_sae_recons`)).toEqual(run.at(site));
    expect(run.at(`${site}.hook_sae_output`)).toEqual(run.at(site));
    // The rest of the pass goes on from it.
    const replaced = device.tensor(run.at(site), [2, 5, width]);
    const after = await read(model, tokens, { edits: [{ site, edit: replaceWith(replaced) }] });
    expect(deviation(run.logits, after.logits)).toBeLessThan(1e-6);
    replaced.dispose();
  });

  it.each([true, "constant"] as const)(
    "with the error term (%s) changes nothing",
    async (error) => {
      const plain = await read(model, tokens, { capture: [site] });
      const run = await read(model, tokens, {
        edits: [splice(site, codec, { error })],
        capture: [site, ...inner],
      });
      expect(deviation(run.at(site), plain.at(site))).toBeLessThan(1e-6);
      expect(deviation(run.logits, plain.logits)).toBeLessThan(1e-5);
      expect(
        deviation(
          plus(run.at(`${site}.hook_sae_error`), run.at(`${site}.hook_sae_recons`)),
          plain.at(site),
        ),
      ).toBeLessThan(1e-6);
    },
  );

  it.each([false, true])(
    "lets latents be edited before they are decoded, error term %s, whatever the order of the list",
    async (error) => {
      const plain = await read(model, tokens, { capture: [site] });
      const { acts, recons } = codec.onHost(plain.at(site));
      const latent = new Float32Array(codec.latents);
      latent[4] = 3;
      const edits = [
        { site: `${site}.hook_sae_acts_post`, edit: addVector(latent, { positions: [1, 2] }) },
        splice(site, codec, { error }),
        { site: `${site}.hook_sae_acts_post`, edit: scaleBy([1, 2]) },
      ];
      const run = await read(model, tokens, { edits, capture: [site] });
      const edited = acts.map((x, index) => {
        const token = Math.floor(index / codec.latents);
        const added = index % codec.latents === 4 && [1, 2].includes(token % 5) ? x + 3 : x;
        return added * (token < 5 ? 1 : 2);
      });
      const decoded = codec.decodeOnHost(edited);
      const missed = plain.at(site).map((x, index) => x - (recons[index] ?? 0));
      const expected = error ? plus(floats(decoded), missed) : floats(decoded);
      expect(deviation(run.at(site), expected)).toBeLessThan(1e-6);
    },
  );

  it("lets pre-activations, reconstruction and error be edited", async () => {
    const plain = await read(model, tokens, { capture: [site] });
    const { pre, recons } = codec.onHost(plain.at(site));
    const at = (name: string, edit: EditFunction) => ({ site: `${site}.hook_sae_${name}`, edit });
    const run = await read(model, tokens, {
      capture: [site],
      edits: [
        splice(site, codec, { error: true }),
        at("acts_pre", scaleBy(-1)),
        at("recons", scaleBy(3)),
        at("error", scaleBy(0.5)),
        at("output", scaleBy(2)),
      ],
    });
    const flipped = codec.decodeOnHost(pre.map((x) => Math.max(0, -x)));
    const expected = plain
      .at(site)
      .map((x, index) => 2 * (3 * (flipped[index] ?? 0) + 0.5 * (x - (recons[index] ?? 0))));
    expect(deviation(run.at(site), expected)).toBeLessThan(1e-6);
  });

  it("at some positions leaves the others as they were", async () => {
    const plain = await read(model, tokens, { capture: [site] });
    const run = await read(model, tokens, {
      capture: [site],
      edits: [splice(site, codec, { positions: [[0], [4]] })],
    });
    const { recons } = codec.onHost(plain.at(site));
    const expected = plain.at(site).map((x, index) => {
      const token = Math.floor(index / width);
      return token === 0 || token === 9 ? (recons[index] ?? 0) : x;
    });
    expect(deviation(run.at(site), expected)).toBeLessThan(1e-6);
  });

  it("of a transcoder reads an earlier site", async () => {
    const [from, to] = ["blocks.0.ln2.hook_normalized", "blocks.0.hook_mlp_out"];
    const plain = await read(model, tokens, { capture: [from, to] });
    const { recons } = codec.onHost(plain.at(from));
    const run = await read(model, tokens, { edits: [splice(to, codec, { from })], capture: [to] });
    expect(deviation(run.at(to), floats(recons))).toBeLessThan(1e-6);
    const exact = await read(model, tokens, {
      edits: [splice(to, codec, { from, error: true })],
      capture: [to, `${to}.hook_sae_error`],
    });
    expect(deviation(exact.at(to), plain.at(to))).toBeLessThan(1e-6);
    expect(() => model.run(tokens, { edits: [splice(from, codec, { from: to })] })).toThrow(
      expect.objectContaining({
        code: "EDIT_READS",
        message: expect.stringContaining("comes after"),
      }),
    );
  });

  it("flattens the heads of hook_z, and works on padded rows and with a cache", async () => {
    const z = "blocks.1.attn.hook_z";
    const ragged = [
      [1, 2, 3, 4],
      [5, 6],
    ];
    const options = { edits: [splice(z, codec)], capture: [z, `${z}.hook_sae_acts_post`] };
    const together = await read(model, ragged, { ...options, padding: "left" });
    const alone = await read(model, [[5, 6]], options);
    expect(together.shape(z)).toEqual([2, 4, 2, 6]);
    expect(
      deviation(
        together.at(`${z}.hook_sae_acts_post`).subarray(6 * codec.latents),
        alone.at(`${z}.hook_sae_acts_post`),
      ),
    ).toBeLessThan(1e-5);
    const seen: number[] = [];
    for await (const { captured } of model.generate({
      tokens: [1, 2, 3],
      edits: options.edits,
      capture: options.capture,
      maxTokens: 2,
      ignoreEos: true,
    })) {
      seen.push(captured.get(`${z}.hook_sae_acts_post`)?.length ?? 0);
    }
    expect(seen).toEqual([codec.latents, codec.latents]);
  });

  it("stops early after a latent that is all that was asked for", async () => {
    const late = {
      site: "logits",
      edit: () => {
        throw new Error("went on");
      },
    };
    const name = `${site}.hook_sae_acts_post`;
    const { at } = await read(model, tokens, {
      edits: [splice(site, codec)],
      capture: [name],
      logits: "none",
    });
    expect(at(name)).toHaveLength(10 * codec.latents);
    expect(() => model.run(tokens, { edits: [splice(site, codec), late], logits: "none" })).toThrow(
      "went on",
    );
  });

  it("refuses what it cannot do", () => {
    const fails = (edits: Parameters<typeof model.run>[1], code: string) =>
      expect(() => model.run(tokens, edits)).toThrow(expect.objectContaining({ code }));
    fails({ capture: [`${site}.hook_sae_acts_post`] }, "SITE_UNKNOWN");
    fails({ capture: [`${site}.hook_sae_error`], edits: [splice(site, codec)] }, "SITE_UNKNOWN");
    const stepless = { encode: codec.encode, decode: codec.decode };
    fails(
      { capture: [`${site}.hook_sae_acts_pre`], edits: [splice(site, stepless)] },
      "SITE_UNKNOWN",
    );
    fails({ edits: [splice(site, codec), splice(site, codec)] }, "SITE_TAKEN");
    fails({ edits: [splice("blocks.0.attn.hook_pattern", codec)] }, "EDIT_SITE");
    const wrong = { encode: codec.encode, decode: (latents: Tensor) => latents };
    fails({ edits: [splice(site, wrong)] }, "EDIT_RESULT");
    fails({ edits: [{ site, edit: (_, context) => context.read("hook_embed") }] }, "EDIT_READS");
  });
});

describe("several edits", () => {
  const vector = Float32Array.from({ length: width }, (_, index) => index - 3);

  it("of one site go in the order of the list, which matters", async () => {
    const edits = [
      projectOut([vector]),
      addVector(vector),
      scaleBy(2),
      splice(site, codec).edit,
    ].slice(0, 3);
    const inOrder = await read(model, tokens, {
      capture: [site],
      edits: edits.map((edit) => ({ site, edit })),
    });
    // The same by one function around the other.
    const nested: EditFunction = (value, context) =>
      edits.reduce((result, edit) => edit(result, context), value);
    const asOne = await read(model, tokens, { capture: [site], edits: [{ site, edit: nested }] });
    expect(asOne.at(site)).toEqual(inOrder.at(site));
    const backwards = await read(model, tokens, {
      capture: [site],
      edits: edits.toReversed().map((edit) => ({ site, edit })),
    });
    expect(deviation(backwards.at(site), inOrder.at(site))).toBeGreaterThan(0.1);
  });

  it("before a splice change what it encodes, after it what it gave", async () => {
    const plain = await read(model, tokens, { capture: [site] });
    const before = await read(model, tokens, {
      capture: [site, `${site}.hook_sae_input`],
      edits: [
        { site, edit: scaleBy(-1) },
        splice(site, codec),
        { site, edit: (value) => add(value, 1) },
      ],
    });
    const { recons } = codec.onHost(plain.at(site).map((x) => -x));
    expect(deviation(before.at(site), floats(recons.map((x) => x + 1)))).toBeLessThan(1e-6);
    expect(before.at(`${site}.hook_sae_input`)).toEqual(plain.at(site).map((x) => -x));
  });

  it("of two sites each see what the earlier one did", async () => {
    const seen: number[] = [];
    const edits = [
      {
        site: "blocks.0.hook_resid_mid",
        edit: (value: Tensor) => {
          seen.push(2);
          return mul(value, 2);
        },
      },
      {
        site: "hook_embed",
        edit: (value: Tensor) => {
          seen.push(1);
          return mul(value, 2);
        },
      },
    ];
    await read(model, tokens, { edits });
    // By the forward pass, not by the list.
    expect(seen).toEqual([1, 2]);
  });
});
