import { Random } from "@latentkit/core";
import { type LanguageModel, randomModel } from "@latentkit/models";
import { contextRows, evaluateSae, type Sae, type SpliceContext, spliceLoss } from "@latentkit/sae";
import { mul, sparseRowL0 } from "@latentkit/tensor";
import { afterEach, expect, it } from "vitest";
import { randomSae, referenceDevice, smallModel, width } from "./__fixtures__/support.ts";
import { saeTransfer, transferTable } from "./sae-transfer.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

const site = "blocks.0.hook_resid_post";
const random = new Random(1);
/** Of two lengths, so that there is padding. */
const contexts: readonly SpliceContext[] = Array.from({ length: 7 }, (_, index) => {
  const length = index % 2 === 0 ? 8 : 5;
  const tokens = Array.from({ length }, () => random.integer(20));
  return { tokens, length, document: index >> 1 };
});

/** FVU and L0 over all tokens but the first of each context, by plain loops. */
async function byHand(model: LanguageModel, sae: Sae) {
  const rows: number[][] = [];
  const rebuilt: number[][] = [];
  let active = 0;
  for (const { tokens } of contexts) {
    using run = model.run([tokens], { capture: [site], logits: "none" });
    using flat = run.captured.get(site)!.reshape([tokens.length, width]);
    using decoded = sae.reconstruct(flat);
    using encoded = sae.encode(flat);
    using counts = sparseRowL0(encoded);
    const [x, y, l0] = [await flat.floats(), await decoded.floats(), await counts.floats()];
    for (let row = 1; row < tokens.length; row++) {
      rows.push([...x.subarray(row * width, (row + 1) * width)]);
      rebuilt.push([...y.subarray(row * width, (row + 1) * width)]);
      active += l0[row]!;
    }
  }
  const mean = rows[0]!.map(
    (_, column) => rows.reduce((sum, row) => sum + row[column]!, 0) / rows.length,
  );
  const squares = (a: readonly (readonly number[])[], b: (row: number) => readonly number[]) =>
    a.reduce(
      (sum, row, index) => sum + row.reduce((part, x, i) => part + (x - b(index)[i]!) ** 2, 0),
      0,
    );
  const fvu = squares(rows, (row) => rebuilt[row]!) / squares(rows, () => mean);
  return { tokens: rows.length, fvu, l0: active / rows.length };
}

it("has each model's own figures, of which the tuned one's are those of its own activations", async () => {
  using base = smallModel(device, 31);
  using sae = randomSae(device, 32);
  const scaled = "model.layers.0.mlp.down_proj.weight";
  const identity = { ...base.identity(), name: "tuned" };
  using tuned = base.withWeights(new Map([[scaled, mul(base.parameter(scaled), 4)]]), identity, {
    owned: true,
  });
  const given = {
    base,
    tuned,
    sae,
    site,
    contexts,
    mask: { maskFirstPosition: true, maximumNormRatio: null },
  };
  const found = await saeTransfer({ ...given, batchSize: 3, seed: 5 });
  for (const side of ["base", "tuned"] as const) {
    const model = given[side];
    const { tokens, fvu, l0 } = await byHand(model, sae);
    const own = found[side];
    expect(own.model.name).toBe(model.identity().name);
    expect([own.tokens, found.documents]).toEqual([tokens, 4]);
    expect(own.fvu.value).toBeCloseTo(fvu, 5);
    expect(own.l0.value).toBeCloseTo(l0, 10);
    expect(own.fvu.interval![0]).toBeLessThan(fvu);
    expect(own.fvu.interval![1]).toBeGreaterThan(fvu);
    const mask = { ...given.mask, medianNorm: own.medianNorm };
    const splice = await spliceLoss(model, sae, contexts, { site, mask, seed: 5 });
    expect(own.deltaLoss.value).toBeCloseTo(splice.delta, 6);
    expect(own.deltaLoss.interval![0]).toBeCloseTo(splice.intervals.delta![0], 6);
    expect(own.cleanLoss).toBeCloseTo(splice.cleanLoss, 6);
    expect(own.recovered.value).toBeCloseTo(splice.recovered, 5);
    const rows = contextRows(model, contexts, { site, mask });
    const metrics = await evaluateSae(sae, rows, { seed: 5 });
    for (const [end, at] of metrics.fvuInterval!.entries())
      expect(own.fvu.interval![end]).toBeCloseTo(at, 5);
    for (const [end, at] of metrics.l0Interval!.entries())
      expect(own.l0.interval![end]).toBeCloseTo(at, 10);
    expect(own.deadFraction).toBe(metrics.deadFraction);
  }
  const { change, tuned: after, base: before } = found;
  for (const name of ["fvu", "l0", "deltaLoss", "recovered"] as const) {
    expect(change[name].value).toBeCloseTo(after[name].value - before[name].value, 10);
    const [low, high] = change[name].interval!;
    expect(low).toBeLessThanOrEqual(change[name].value);
    expect(high).toBeGreaterThanOrEqual(change[name].value);
  }
  expect(found.base.fvu.value).not.toBeCloseTo(found.tuned.fvu.value, 2);
  expect(JSON.parse(JSON.stringify(found))).toEqual(found);
  expect(transferTable(found)).toMatch(
    /^\| model .*\n\| -+ .*\n\| random.*\n\| tuned .*\n\| change .*\n$/u,
  );
});

it("masks by each model's own median norm, at whatever batch size", async () => {
  using base = smallModel(device, 33);
  using sae = randomSae(device, 34);
  const given = { base, tuned: base, sae, site, contexts };
  const narrow = await saeTransfer({
    ...given,
    mask: { maskFirstPosition: false, maximumNormRatio: 1.05 },
    batchSize: 2,
  });
  const wide = await saeTransfer({
    ...given,
    mask: { maskFirstPosition: false, maximumNormRatio: 1.05 },
    batchSize: 7,
  });
  expect(narrow.base.tokens).toBe(wide.base.tokens);
  expect(narrow.base.medianNorm).toBe(wide.base.medianNorm);
  const all = contexts.reduce((sum, { length }) => sum + length, 0);
  expect(narrow.base.tokens).toBeLessThan(all);
  expect(narrow.base.tokens).toBeGreaterThan(all / 3);
  expect(narrow.tuned).toEqual(narrow.base);
  // Paired: no difference at all, where each side has an interval of its own.
  expect(narrow.change.fvu).toEqual({ value: 0, interval: [0, 0] });
  expect(narrow.base.fvu.interval![1]).toBeGreaterThan(narrow.base.fvu.interval![0]);
});

it("refuses models that do not belong together", async () => {
  using base = smallModel(device, 35);
  using tuned = randomModel({ device, seed: 1 });
  using sae = randomSae(device, 36);
  await expect(saeTransfer({ base, tuned, sae, site, contexts })).rejects.toMatchObject({
    code: "TRANSFER_MODELS",
  });
});
