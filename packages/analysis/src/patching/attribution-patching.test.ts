// To first order: TransformerLens's gradients, and activation patching where that is exact or near.
import { randomModel } from "@latentkit/models";
import { mean, type Tensor } from "@latentkit/tensor";
import { afterEach, describe, expect, it } from "vitest";
import { clean, corrupt, goldenCase, metric, placeOf, values } from "../__fixtures__/patching.ts";
import { distance, openModel, referenceDevice } from "../__fixtures__/support.ts";
import { activationPatching } from "./activation-patching.ts";
import { attributionPatching } from "./attribution-patching.ts";
import type { PatchSite } from "./patch-places.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

describe.each(["llama", "gpt2"])("TransformerLens's tables of %s", (name) => {
  it.each([
    ["hook_resid_pre", "resid_pre"],
    ["attn.hook_z", "z"],
  ] as const)("are ours: %s", async (site, key) => {
    using model = await openModel(name, device);
    const { golden, ...prompts } = await goldenCase(name);
    const table = await attributionPatching({ model, ...prompts, sites: [{ site }] });
    const effects = values(table).map((value) => value - table.corrupt);
    expect(distance(effects, await golden.floats(`attribute.${key}`))).toBeLessThan(1e-4);
  });
});

describe("attributionPatching", () => {
  // Norms divide by the root of so large a constant that they are linear, with weights that make up for it, and in parallel blocks
  // nothing reads the last layer's parts but the head.
  const linear = {
    architecture: "gpt_neox",
    parallelResidual: true,
    normEpsilon: 1e8,
  } as const;

  function linearModel() {
    const base = randomModel({ device, seed: 6, config: linear });
    const raised = device.full([base.config.dModel], 1e4);
    const names = Object.keys(base.trainableParameters()).filter((key) =>
      /layer_?norm\.weight/u.test(key),
    );
    expect(names).toHaveLength(5);
    const model = base.withWeights(new Map(names.map((key) => [key, raised])));
    const dispose = () => [model, base, raised].forEach((one) => one.dispose());
    return { model, [Symbol.dispose]: dispose };
  }

  it.each([undefined, 3])(
    "is activation patching where the metric is linear, integrated over %s points",
    async (integratedSteps) => {
      using made = linearModel();
      const { model } = made;
      const sites: readonly PatchSite[] = [
        { site: "hook_resid_post", layers: [1] },
        { site: "hook_attn_out", layers: [1] },
        { site: "hook_mlp_out", layers: [1] },
        { site: "attn.hook_z", layers: [1] },
        { site: "attn.hook_z", layers: [1], heads: "all", positions: "each" },
      ];
      const given = { model, clean, corrupt, metric, sites };
      const exact = await activationPatching(given);
      const first = await attributionPatching({ ...given, integratedSteps });
      const shares = exact.rows.map(({ normalised }) => normalised);
      for (const { site } of sites) {
        const own = exact.rows.filter((row) => row.site.endsWith(site));
        expect(Math.max(...own.map(({ normalised }) => Math.abs(normalised)))).toBeGreaterThan(0.1);
      }
      expect(
        distance(
          first.rows.map(({ normalised }) => normalised),
          shares,
        ),
      ).toBeLessThan(1e-4);
      expect(first.rows.map(placeOf)).toEqual(exact.rows.map(placeOf));
    },
  );

  it.each(["llama", "gpt2"])("goes with activation patching elsewhere: %s", async (name) => {
    using model = await openModel(name, device);
    const { golden: _, ...prompts } = await goldenCase(name);
    const sites: readonly PatchSite[] = [{ site: "attn.hook_z" }, { site: "hook_mlp_out" }];
    const exact = values(await activationPatching({ model, ...prompts, sites }));
    const first = values(await attributionPatching({ model, ...prompts, sites }));
    const path = values(
      await attributionPatching({ model, ...prompts, sites, integratedSteps: 8 }),
    );
    expect(correlation(first, exact)).toBeGreaterThan(0.6);
    expect(correlation(path, exact)).toBeGreaterThan(0.9);
  });

  it("adds up to patching all of a site, with integrated gradients", async () => {
    using model = await openModel("llama", device);
    const { golden: _, ...prompts } = await goldenCase("llama");
    const site = "hook_resid_mid";
    const whole = await activationPatching({
      model,
      ...prompts,
      sites: [{ site, positions: "all" }],
    });
    const each = await attributionPatching({
      model,
      ...prompts,
      sites: [{ site }],
      integratedSteps: 64,
    });
    for (const [layer, { value }] of whole.rows.entries()) {
      const parts = each.rows.filter((row) => row.layer === layer);
      const sum = parts.reduce((total, row) => total + row.value - each.corrupt, each.corrupt);
      expect(Math.abs(sum - value)).toBeLessThan(0.01 * Math.abs(value - whole.corrupt));
    }
  });

  it("goes through weights as they are stored", async () => {
    using full = await openModel("llama", device);
    using stored = await openModel("llama", device, "stored");
    const { golden: _, ...prompts } = await goldenCase("llama");
    const sites: readonly PatchSite[] = [{ site: "hook_resid_pre" }, { site: "attn.hook_pattern" }];
    const expected = values(await attributionPatching({ model: full, ...prompts, sites }));
    const found = values(await attributionPatching({ model: stored, ...prompts, sites }));
    expect(distance(found, expected)).toBeLessThan(1e-4);
  });

  it("refuses a metric that no site has a part in, and stops on request", async () => {
    using model = randomModel({ device, seed: 4 });
    const given = { model, clean, corrupt, sites: [{ site: "hook_resid_pre" }] } as const;
    const constant = (logits: Tensor) => mean(logits.device.zeros([1]));
    await expect(attributionPatching({ ...given, metric: constant })).rejects.toMatchObject({
      code: "AUTOGRAD_NO_DEPENDENCE",
    });
    const stop = new AbortController();
    const seen: number[] = [];
    const running = attributionPatching({
      ...given,
      metric,
      integratedSteps: 2,
      signal: stop.signal,
      onProgress({ done }) {
        seen.push(done);
        stop.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
    expect(seen).toEqual([1]);
  });
});

function correlation(a: readonly number[], b: readonly number[]): number {
  const centred = (x: readonly number[]) => {
    const average = x.reduce((sum, value) => sum + value, 0) / x.length;
    return x.map((value) => value - average);
  };
  const [x, y] = [centred(a), centred(b)];
  const product = (p: readonly number[], q: readonly number[]) =>
    p.reduce((sum, value, index) => sum + value * q[index]!, 0);
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
}
