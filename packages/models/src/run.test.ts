// Forward passes and what they capture.
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { smallModel, threeLayers } from "./__fixtures__/small-model.ts";
import { deviation, read } from "./__fixtures__/support.ts";
import type { SiteEdit } from "./hook-run.ts";

const { device, model } = smallModel({ config: threeLayers });
const tokens = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5, 35, 8, 9, 7, 39],
];
const allSites = model.sites().map((site) => site.name);

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
    expect(() =>
      model.run(tokens, { edits: [{ site: "blocks.2.hook_resid_pst", edit: (value) => value }] }),
    ).toThrow(unknown);
    expect(count.stop()).toBe(0);
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
