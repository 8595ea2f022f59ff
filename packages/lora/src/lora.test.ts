import { createReferenceBackend, Device } from "@latentkit/tensor";
import { randomModel } from "@latentkit/models";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  adapterGradients,
  createAdapter,
  effectiveWeights,
  LoraAdapter,
  targetModulesOf,
  withAdapter,
} from "./index.ts";
import { randomFactors } from "./testing/fixtures.ts";

const device = new Device(createReferenceBackend());
const config = {
  layers: 2,
  dModel: 12,
  heads: 2,
  kvHeads: 1,
  dHead: 8,
  dMlp: 20,
  vocabulary: 23,
  contextSize: 16,
};
const model = randomModel({ device, seed: 4, config });
const tokens = [
  [3, 1, 4, 1, 5],
  [9, 2, 6, 5, 3],
];
let before = 0;
beforeAll(() => {
  before = device.memory().liveBytes;
});
afterAll(() => {
  // Every test frees what it makes.
  expect(device.memory().liveBytes).toBe(before);
  model.dispose();
});

async function logitsOf(of: typeof model): Promise<Float32Array> {
  using result = of.run(tokens);
  return result.logits!.floats();
}

describe("createAdapter", () => {
  it("draws A uniformly in one over the root of the inputs, and leaves B at zero", async () => {
    using adapter = createAdapter({ model, rank: 64, alpha: 64, seed: 7 });
    expect(adapter.modules).toHaveLength(14);
    expect(adapter.scale).toBe(1);
    for (const [name, { a, b }] of await adapter.values()) {
      const { inputs } = adapter.modules.find((module) => module.name === name)!;
      const bound = 1 / Math.sqrt(inputs);
      expect(b.every((value) => value === 0)).toBe(true);
      expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound);
      expect(Math.max(...a)).toBeGreaterThan(0.97 * bound);
      expect(Math.min(...a)).toBeLessThan(-0.97 * bound);
      // Variance bound^2 / 3, within five standard errors (of a uniform: sqrt(4/5) relative, over n).
      const variance = a.reduce((sum, value) => sum + value * value, 0) / a.length;
      expect(Math.abs((3 * variance) / bound ** 2 - 1)).toBeLessThan(5 * Math.sqrt(0.8 / a.length));
    }
  });

  it("gives a module the same values whatever else is adapted, and others by another seed", async () => {
    using all = createAdapter({ model, rank: 2, alpha: 2, seed: 7 });
    using one = createAdapter({
      model,
      rank: 2,
      alpha: 2,
      seed: 7,
      targetModules: ["up_proj"],
      layers: [1],
    });
    using other = createAdapter({ model, rank: 2, alpha: 2, seed: 8 });
    const name = "model.layers.1.mlp.up_proj";
    const [a, b, c] = await Promise.all(
      [all, one, other].map((adapter) => adapter.pair(name).a.floats()),
    );
    expect(one.modules).toHaveLength(1);
    expect(b).toEqual(a);
    expect(c).not.toEqual(a);
  });

  it("knows the shapes of all seven modules", () => {
    using adapter = createAdapter({ model, rank: 3, alpha: 1, seed: 0 });
    for (const { name, inputs, outputs } of adapter.modules) {
      expect(model.parameter(`${name}.weight`).shape).toEqual([outputs, inputs]);
      expect(adapter.pair(name).a.shape).toEqual([3, inputs]);
      expect(adapter.pair(name).b.shape).toEqual([outputs, 3]);
    }
    expect(new Set(adapter.modules.map(({ target }) => target))).toEqual(
      new Set(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
    );
    expect(adapter.config.targetModules).toEqual(targetModulesOf(model.config));
    expect(adapter.size).toBe(
      Object.values(adapter.parameters).reduce((sum, { a, b }) => sum + a.size + b.size, 0),
    );
  });

  it.each([
    [{ rank: 0 }, "ADAPTER_CONFIG"],
    [{ rank: 1.5 }, "ADAPTER_CONFIG"],
    [{ alpha: Number.NaN }, "ADAPTER_CONFIG"],
    [{ targetModules: [] }, "ADAPTER_CONFIG"],
    [{ targetModules: ["lm_head"] }, "ADAPTER_TARGETS"],
    [{ layers: [2] }, "ADAPTER_TARGETS"],
    [{ layers: [-1] }, "ADAPTER_CONFIG"],
  ])("refuses %j", (wrong, code) => {
    const options = { model, rank: 2, alpha: 2, seed: 0, ...wrong };
    // Wrong on purpose.
    expect(() => createAdapter(options as never)).toThrow(expect.objectContaining({ code }));
  });
});

describe("an adapter in the model", () => {
  it("changes nothing while B is zero, to the last bit", async () => {
    using adapter = createAdapter({ model, rank: 4, alpha: 9, seed: 1 });
    using adapted = await withAdapter(model, adapter);
    expect(await logitsOf(adapted.model)).toEqual(await logitsOf(model));
  });

  it("is W + scale B A, by a slow sum in f64", async () => {
    using made = createAdapter({ model, rank: 3, alpha: 5, rsLora: true, seed: 1 });
    using adapter = randomFactors(model, made, 2);
    const weights = effectiveWeights(model, adapter);
    for (const { name, inputs, outputs } of adapter.modules) {
      const weight = await model.parameter(`${name}.weight`).floats();
      const [a, b] = [await adapter.pair(name).a.floats(), await adapter.pair(name).b.floats()];
      const expected = weight.map((value, index) => {
        const [row, column] = [Math.floor(index / inputs), index % inputs];
        let sum = 0;
        for (let r = 0; r < 3; r++) sum += (b[row * 3 + r] ?? 0) * (a[r * inputs + column] ?? 0);
        return value + (5 / Math.sqrt(3)) * sum;
      });
      const changed = weights.get(`${name}.weight`)!;
      expect(changed.shape).toEqual([outputs, inputs]);
      const found = await changed.floats();
      for (const [index, value] of expected.entries())
        expect(Math.abs(value - found[index]!)).toBeLessThan(2e-6);
      changed.dispose();
    }
  });

  it("counts as much with B times g as with alpha times g, and as much by scale", async () => {
    using made = createAdapter({ model, rank: 2, alpha: 3, seed: 1 });
    using adapter = randomFactors(model, made, 3);
    const values = await adapter.values();
    const scaled = new Map(
      [...values].map(([name, { a, b }]) => [name, { a, b: b.map((value) => 4 * value) }]),
    );
    using byB = new LoraAdapter(model, adapter.config, scaled);
    using byAlpha = new LoraAdapter(model, { ...adapter.config, alpha: 12 }, values);
    using first = await withAdapter(model, byB);
    using second = await withAdapter(model, byAlpha);
    using third = await withAdapter(model, adapter, { scale: 4 });
    const expected = await logitsOf(first.model);
    expect(await logitsOf(second.model)).toEqual(expected);
    expect(await logitsOf(third.model)).toEqual(expected);
    using none = await withAdapter(model, adapter, { scale: 0 });
    expect(await logitsOf(none.model)).toEqual(await logitsOf(model));
    expect(expected).not.toEqual(await logitsOf(model));
  });

  it("has a rank-stabilised scale root rank times the plain one", () => {
    using plain = createAdapter({ model, rank: 16, alpha: 8, seed: 1 });
    using stable = createAdapter({ model, rank: 16, alpha: 8, rsLora: true, seed: 1 });
    expect(plain.scale).toBe(0.5);
    expect(stable.scale).toBe(2);
  });

  it("says in its identity which adapter was merged, and how much of it", async () => {
    using made = createAdapter({ model, rank: 2, alpha: 3, seed: 1 });
    using other = randomFactors(model, made, 3);
    using a = await withAdapter(model, made);
    using b = await withAdapter(model, other);
    using c = await withAdapter(model, other, { scale: 0.5 });
    const hashes = [model, a.model, b.model, c.model].map((one) => one.identity().weightsHash);
    expect(new Set(hashes).size).toBe(4);
    using again = await withAdapter(model, other);
    expect(again.model.identity()).toEqual(b.model.identity());
  });

  it("leaves the model, and itself, as they were", async () => {
    using made = createAdapter({ model, rank: 2, alpha: 3, seed: 1 });
    using adapter = randomFactors(model, made, 3);
    const clean = await logitsOf(model);
    const adapted = await withAdapter(model, adapter);
    await logitsOf(adapted.model);
    adapted.dispose();
    expect(await logitsOf(model)).toEqual(clean);
  });

  it("is refused by a model of other sizes or on another device", async () => {
    using adapter = createAdapter({ model, rank: 2, alpha: 3, seed: 1 });
    using wider = randomModel({ device, seed: 1, config: { ...config, dModel: 16 } });
    await expect(withAdapter(wider, adapter)).rejects.toMatchObject({ code: "ADAPTER_SHAPE" });
    using shallow = randomModel({ device, seed: 1, config: { ...config, layers: 1 } });
    await expect(withAdapter(shallow, adapter)).rejects.toMatchObject({ code: "ADAPTER_MODULES" });
    using elsewhere = new Device(createReferenceBackend());
    using twin = randomModel({ device: elsewhere, seed: 4, config });
    await expect(withAdapter(twin, adapter)).rejects.toMatchObject({ code: "DEVICE_MISMATCH" });
  });

  it("gives gradients that agree with finite differences", async () => {
    using made = createAdapter({
      model,
      rank: 2,
      alpha: 3,
      seed: 1,
      targetModules: ["v_proj", "down_proj"],
      layers: [1],
    });
    using adapter = randomFactors(model, made, 5);
    const batch = {
      tokens,
      targets: [
        [-100, 2, 3, -100, 4],
        [-100, -100, -100, 7, 8],
      ],
    };
    const { value, gradients } = adapterGradients(model, adapter, batch);
    value.dispose();
    const step = 2e-2;
    for (const { name } of adapter.modules) {
      for (const factor of ["a", "b"] as const) {
        const gradient = await gradients[name]![factor].floats();
        const lossAt = async (index: number, delta: number): Promise<number> => {
          const values = new Map(await adapter.values());
          const pair = values.get(name)!;
          const moved = pair[factor].slice();
          moved[index] = (moved[index] ?? 0) + delta;
          using shifted = new LoraAdapter(
            model,
            adapter.config,
            values.set(name, { ...pair, [factor]: moved }),
          );
          const one = adapterGradients(model, shifted, batch);
          const loss = await one.value.item();
          one.value.dispose();
          for (const { a, b } of Object.values(one.gradients))
            [a, b].forEach((tensor) => tensor.dispose());
          return loss;
        };
        for (const index of [0, 3, 7]) {
          // Fourth order, so that the step can be large enough for f32 losses.
          const [m2, m1, p1, p2] = await Promise.all(
            [-2, -1, 1, 2].map((times) => lossAt(index, times * step)),
          );
          const numeric = (m2! - 8 * m1! + 8 * p1! - p2!) / (12 * step);
          expect(Math.abs(gradient[index]! - numeric)).toBeLessThan(
            1e-4 + 2e-3 * Math.abs(numeric),
          );
        }
      }
    }
    for (const { a, b } of Object.values(gradients)) [a, b].forEach((tensor) => tensor.dispose());
  });
});
