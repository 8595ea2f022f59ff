import { fc, test } from "@fast-check/vitest";
import { affine, clone, type Tensor } from "@latentkit/tensor";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { deviation, read, referenceDevice } from "./__fixtures__/support.ts";
import { addVector, replaceWith, scaleBy } from "./edits.ts";
import type { EditContext, SiteEdit } from "./hook-run.ts";
import { randomModel } from "./random-model.ts";

const device = referenceDevice();
const model = randomModel({
  device,
  seed: 1,
  config: {
    layers: 3,
    dModel: 20,
    heads: 4,
    kvHeads: 2,
    dHead: 6,
    dMlp: 28,
    vocabulary: 40,
    contextSize: 24,
  },
});
const tokens = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5, 35, 8, 9, 7, 39],
];
const allSites = model.sites().map((site) => site.name);
const resting = device.memory().liveBytes;
const identityEdits = (sites: readonly string[]): SiteEdit[] =>
  sites.map((site) => ({ site, edit: (value) => value }));

afterEach(() => expect(device.memory().liveBytes).toBe(resting));
afterAll(() => {
  model.dispose();
  expect(device.memory().liveBytes).toBe(0);
  device.dispose();
});

describe("run", () => {
  it("gives logits for all positions, the last, or none", async () => {
    const all = await read(model, tokens);
    const last = await read(model, tokens, { logits: "last" });
    const none = await read(model, tokens, { logits: "none" });
    const { vocabulary } = model.config;
    expect(all.logits).toHaveLength(2 * 7 * vocabulary);
    const ends = [6, 13].flatMap((row) => [
      ...all.logits.subarray(row * vocabulary, (row + 1) * vocabulary),
    ]);
    expect(deviation(last.logits, Float32Array.from(ends))).toBeLessThan(1e-6);
    expect(none.logits).toHaveLength(0);
  });

  it("gives the last logits too when the final norm is captured at all positions", async () => {
    const plain = await read(model, tokens, { logits: "last" });
    const both = await read(model, tokens, {
      logits: "last",
      capture: ["ln_final.hook_normalized", "logits"],
    });
    expect(both.shape("ln_final.hook_normalized")).toEqual([2, 7, 20]);
    expect(both.shape("logits")).toEqual([2, 1, 40]);
    expect(deviation(both.logits, plain.logits)).toBeLessThan(1e-5);
    expect(both.at("logits")).toEqual(both.logits);
  });

  it("computes logits that are captured though not returned", async () => {
    const { at, logits } = await read(model, tokens, { logits: "none", capture: ["logits"] });
    expect(logits).toHaveLength(0);
    expect(at("logits")).toEqual((await read(model, tokens)).logits);
  });

  it("captures the same by steps as by fused kernels", async () => {
    const steps = await read(model, tokens, { capture: allSites });
    const fused = await read(model, tokens, { capture: ["blocks.2.hook_resid_post"] });
    expect(deviation(steps.logits, fused.logits)).toBeLessThan(1e-5);
    expect(
      deviation(steps.at("blocks.2.hook_resid_post"), fused.at("blocks.2.hook_resid_post")),
    ).toBeLessThan(1e-5);
  });

  it("captures the same when it stops early", async () => {
    const whole = await read(model, tokens, { capture: allSites });
    for (const site of allSites) {
      const early = await read(model, tokens, { capture: [site], logits: "none" });
      expect(deviation(early.at(site), whole.at(site)), site).toBeLessThan(1e-5);
    }
  });

  it("stops after the last site asked for", async () => {
    const visited: string[] = [];
    const watch = (site: string): SiteEdit => ({
      site,
      edit: (value) => {
        visited.push(site);
        return value;
      },
    });
    // Weights of later layers would be read if the pass went on; counting kernels is the honest witness.
    const count = kernelCalls();
    await read(model, tokens, {
      capture: ["blocks.0.hook_resid_mid"],
      edits: [watch("hook_embed")],
      logits: "none",
    });
    const early = count.stop();
    const recount = kernelCalls();
    await read(model, tokens, {
      capture: ["blocks.0.hook_resid_mid"],
      edits: [watch("hook_embed")],
    });
    expect(visited).toEqual(["hook_embed", "hook_embed"]);
    // Four projections of the first layer against seven in each of three and the unembedding.
    expect(early).toBe(4);
    expect(recount.stop()).toBe(22);
  });

  it("relates sites as the architecture does", async () => {
    const { at } = await read(model, tokens, { capture: allSites });
    const sum = (a: string, b: string) => at(a).map((x, index) => x + (at(b)[index] ?? 0));
    for (let layer = 0; layer < 3; layer++) {
      const b = `blocks.${layer}.`;
      expect(
        deviation(at(`${b}hook_resid_mid`), sum(`${b}hook_resid_pre`, `${b}hook_attn_out`)),
      ).toBeLessThan(1e-6);
      expect(
        deviation(at(`${b}hook_resid_post`), sum(`${b}hook_resid_mid`, `${b}hook_mlp_out`)),
      ).toBeLessThan(1e-6);
      const before = layer === 0 ? "hook_embed" : `blocks.${layer - 1}.hook_resid_post`;
      expect(at(`${b}hook_resid_pre`)).toEqual(at(before));
      const pattern = at(`${b}attn.hook_pattern`);
      for (let row = 0; row < pattern.length / 7; row++) {
        const weights = pattern.subarray(row * 7, (row + 1) * 7);
        expect(weights.reduce((total, x) => total + x, 0)).toBeCloseTo(1, 5);
        expect([...weights.subarray((row % 7) + 1)].every((x) => x === 0)).toBe(true);
      }
    }
  });

  test.prop(
    [
      fc.array(fc.array(fc.integer({ min: 0, max: 39 }), { minLength: 5, maxLength: 5 }), {
        minLength: 1,
        maxLength: 3,
      }),
    ],
    { numRuns: 10 },
  )("does not mix the sequences of a batch", async (rows) => {
    const together = await read(model, rows);
    const size = 5 * model.config.vocabulary;
    for (const [index, row] of rows.entries()) {
      const alone = await read(model, [row]);
      expect(
        deviation(alone.logits, together.logits.subarray(index * size, (index + 1) * size)),
      ).toBeLessThan(1e-5);
    }
  });

  test.prop(
    [
      fc.array(fc.integer({ min: 0, max: 39 }), { minLength: 2, maxLength: 12 }),
      fc.integer({ min: 0, max: 39 }),
      fc.integer({ min: 1, max: 4 }),
    ],
    { numRuns: 10 },
  )(
    "does not look at what comes after, so padding on the right changes nothing",
    async (row, pad, count) => {
      const plain = await read(model, [row]);
      const padded = await read(model, [[...row, ...new Array<number>(count).fill(pad)]]);
      expect(deviation(padded.logits.subarray(0, plain.logits.length), plain.logits)).toBeLessThan(
        1e-5,
      );
    },
  );

  it("takes typed arrays", async () => {
    const typed = await read(
      model,
      tokens.map((row) => Int32Array.from(row)),
    );
    expect(typed.logits).toEqual((await read(model, tokens)).logits);
  });

  it("leaves its result to an open scope", async () => {
    const kept = device.scope(
      () => model.run(tokens, { capture: ["blocks.1.hook_resid_post"] }).captured,
    );
    expect([...kept.keys()]).toEqual(["blocks.1.hook_resid_post"]);
    expect(await kept.get("blocks.1.hook_resid_post")?.floats()).toHaveLength(2 * 7 * 20);
    for (const tensor of kept.values()) tensor.dispose();
  });
});

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

describe("wrong use", () => {
  it.each([
    ["no sequences", [], "TOKENS_EMPTY", /no sequences/],
    ["empty sequences", [[]], "TOKENS_EMPTY", /without tokens/],
    [
      "sequences of two lengths",
      [[1, 2], [1]],
      "TOKENS_RAGGED",
      /sequence 1 has 1 tokens and sequence 0 has 2/,
    ],
    [
      "a token beyond the vocabulary",
      [
        [1, 2],
        [1, 40],
      ],
      "TOKEN_RANGE",
      /token 40 at position 1 of sequence 1.*vocabulary of 40/,
    ],
    ["a negative token", [[-1]], "TOKEN_RANGE", /token -1/],
    ["half a token", [[0.5]], "TOKEN_RANGE", /token 0.5/],
    [
      "too many tokens",
      [new Array<number>(25).fill(0)],
      "CONTEXT_OVERFLOW",
      /25 tokens.*context of 24/,
    ],
  ])("%s", (_, rows, code, message) => {
    expect(() => model.run(rows)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  it("an unknown site, before anything runs", () => {
    const count = kernelCalls();
    const unknown = expect.objectContaining({
      code: "SITE_UNKNOWN",
      message: expect.stringContaining("blocks.2.hook_resid_post"),
    });
    expect(() => model.run(tokens, { capture: ["blocks.2.hook_resid_pst"] })).toThrow(unknown);
    expect(() => model.run(tokens, { edits: identityEdits(["blocks.2.hook_resid_pst"]) })).toThrow(
      unknown,
    );
    expect(count.stop()).toBe(0);
  });
});

describe("randomModel", () => {
  it("is the same for the same seed and another for another", async () => {
    const make = async (seed: number) => {
      using other = randomModel({ device, seed, config: { layers: 1 } });
      const values = await other.parameter("model.layers.0.mlp.up_proj.weight").floats();
      return { values, hash: other.identity().weightsHash };
    };
    const [a, b, c] = [await make(4), await make(4), await make(5)];
    expect(a).toEqual(b);
    expect(a.values).not.toEqual(c.values);
    expect(a.hash).not.toEqual(c.hash);
  });

  it("survives the scope that it was made in", async () => {
    using other = device.scope(() =>
      randomModel({ device, seed: 0, config: { contextSize: 4_096 } }),
    );
    const result = await read(other, [[1, 2]]);
    expect(result.logits.every((x) => Number.isFinite(x))).toBe(true);
  });

  it("refuses sizes that contradict each other", () => {
    expect(() => randomModel({ device, seed: 0, config: { kvHeads: 3 } })).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID" }),
    );
  });
});

/** Counts matrix products by linear layers until stopped. */
function kernelCalls(): { stop: () => number } {
  const { kernels } = device.backend;
  const matmul = kernels.matmul.bind(kernels);
  let calls = 0;
  kernels.matmul = (...parts) => {
    calls++;
    matmul(...parts);
  };
  return {
    stop() {
      kernels.matmul = matmul;
      return calls;
    },
  };
}
