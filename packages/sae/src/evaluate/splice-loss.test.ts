import { Random } from "@latentkit/core";
import { type LanguageModel, randomModel, replaceWith } from "@latentkit/models";
import { createReferenceBackend, crossEntropy, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { identitySae } from "../testing/identity-sae.ts";
import type { SpliceContext } from "./context-batch.ts";
import { spliceLoss } from "./splice-loss.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
const site = "blocks.0.hook_resid_post";
const dIn = 16;
const random = new Random(4);
const draw = (length: number): Int32Array => Int32Array.from({ length }, () => random.integer(40));
const contexts: SpliceContext[] = [
  { tokens: draw(9), length: 9, document: 7 },
  { tokens: draw(9), length: 9, document: 7 },
  { tokens: draw(9), length: 9, document: 3 },
];
const mask = { maskFirstPosition: true, maximumNormRatio: null, medianNorm: 1 };
let model: LanguageModel;

beforeAll(() => {
  model = randomModel({
    device,
    seed: 3,
    config: {
      dModel: dIn,
      heads: 2,
      kvHeads: 1,
      dHead: 8,
      dMlp: 24,
      vocabulary: 40,
      contextSize: 16,
    },
  });
});
afterAll(() => {
  model.dispose();
  expectNoLeaks(device);
  device.dispose();
});

/** Mean loss of the predictions made from positions 1 .. length - 2, by the model's own operators. */
async function lossOf(edits: Parameters<LanguageModel["run"]>[1] = {}): Promise<number> {
  let [sum, count] = [0, 0];
  for (const { tokens, length } of contexts) {
    using run = model.run([tokens], edits);
    using losses = device.scope(() =>
      crossEntropy(
        (run.logits ?? device.zeros([0])).reshape([length, 40]),
        device.tensor(
          Int32Array.from({ length }, (_, row) => tokens[row + 1] ?? -1),
          [length],
        ),
      ),
    );
    for (const loss of (await losses.floats()).slice(1, length - 1)) {
      sum += loss;
      count += 1;
    }
  }
  return sum / count;
}

describe("spliceLoss", () => {
  const tolerance = { rtol: 1e-5, atol: 1e-6 };

  it("loses nothing with a perfect SAE", async () => {
    using sae = identitySae(device, dIn);
    const result = await spliceLoss(model, sae, contexts, { site, mask, batchSize: 2 });
    expect(result).toMatchObject({ site, contexts: 3, documents: 2, tokens: 21 });
    expect(result.splicedLoss).toBe(result.cleanLoss);
    expect([result.delta, result.recovered, result.recoveredFromMean]).toEqual([0, 1, 1]);
    expect(result.intervals.recovered).toEqual([1, 1]);
  });

  it("agrees with the model's own runs, clean and zero-ablated but for the masked position", async () => {
    using sae = identitySae(device, dIn);
    const result = await spliceLoss(model, sae, contexts, { site, mask });
    const positions = [1, 2, 3, 4, 5, 6, 7, 8];
    const ablated = await lossOf({
      edits: [{ site, edit: replaceWith(new Float32Array(dIn), { positions }) }],
    });
    const everywhere = await lossOf({
      edits: [{ site, edit: replaceWith(new Float32Array(dIn)) }],
    });
    expect([result.cleanLoss, result.ablatedLoss]).toBeClose([await lossOf(), ablated], tolerance);
    // Zeros at the masked position too would give another number, so this test can tell.
    expect(Math.abs(everywhere - ablated)).toBeGreaterThan(1e-4);
    expect(result.ablatedLoss).not.toBe(result.meanAblatedLoss);
  });

  it("calls an SAE that writes nothing an ablation, and one that writes the mean a mean ablation", async () => {
    const silent = new Float32Array(2 * dIn * dIn);
    using zero = identitySae(device, dIn, { decoder: silent });
    const zeroed = await spliceLoss(model, zero, contexts, { site, mask });
    expect(zeroed.splicedLoss).toBe(zeroed.ablatedLoss);
    expect(zeroed.recovered).toBe(0);

    const sum = new Float64Array(dIn);
    for (const { tokens } of contexts) {
      using run = model.run([tokens], { capture: [site], logits: "none" });
      const values = (await run.captured.get(site)?.floats()) ?? new Float32Array(0);
      for (let index = dIn; index < values.length; index++)
        sum[index % dIn] = (sum[index % dIn] ?? 0) + (values[index] ?? 0) / 24;
    }
    using mean = identitySae(device, dIn, { decoder: silent, decoderBias: Float32Array.from(sum) });
    const averaged = await spliceLoss(model, mean, contexts, { site, mask });
    expect([averaged.splicedLoss, averaged.recoveredFromMean]).toBeClose(
      [averaged.meanAblatedLoss, 0],
      { rtol: 1e-5, atol: 1e-4 },
    );
  });

  it("does not depend on batches, nor on padding", async () => {
    using sae = identitySae(device, dIn, { encoderBias: new Float32Array(2 * dIn).fill(0.1) });
    const ragged = contexts.map((context, index) => ({ ...context, length: 9 - 2 * index }));
    const one = await spliceLoss(model, sae, ragged, { site, mask, batchSize: 1 });
    const all = await spliceLoss(model, sae, ragged, { site, mask, batchSize: 3 });
    expect(one.tokens).toBe(7 + 5 + 3);
    expect([all.cleanLoss, all.splicedLoss, all.ablatedLoss, all.meanAblatedLoss]).toBeClose(
      [one.cleanLoss, one.splicedLoss, one.ablatedLoss, one.meanAblatedLoss],
      tolerance,
    );
    expect(one.delta).not.toBe(0);
  });

  it("masks outliers by the harvest's median norm: with all of them masked nothing is spliced", async () => {
    using sae = identitySae(device, dIn, { decoder: new Float32Array(2 * dIn * dIn) });
    const few = await spliceLoss(model, sae, contexts, {
      site,
      mask: { ...mask, maximumNormRatio: 1.05, medianNorm: 4 },
    });
    expect(few.tokens).toBeLessThan(21);
    expect(few.tokens).toBeGreaterThan(0);
  });

  it("refuses a site of another width, no site, no contexts", async () => {
    using sae = identitySae(device, dIn);
    await expect(
      spliceLoss(model, sae, contexts, { site: "blocks.0.mlp.hook_post", mask }),
    ).rejects.toThrow(/blocks\.0\.mlp\.hook_post.*24 wide.*width 16/su);
    await expect(spliceLoss(model, sae, contexts, { mask })).rejects.toMatchObject({
      code: "SPLICE_SITE",
    });
    await expect(spliceLoss(model, sae, [], { site, mask })).rejects.toMatchObject({
      code: "SPLICE_EMPTY",
    });
  });
});
