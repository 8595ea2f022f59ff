// What lies between heads and the residual stream, for every family.
import { add, div, mul, sum, type Tensor } from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { deviation, openTiny, referenceDevice } from "./__fixtures__/support.ts";
import { loadModel } from "./load-model.ts";
import { blockSite } from "./sites.ts";

const device = referenceDevice();
afterAll(() => expect(device.memory().liveBytes).toBe(0));

const cases = [
  "llama-biases-llama3",
  "gpt2",
  "gpt-neox",
  "qwen3",
  "olmo2",
  "gemma2",
  "gemma3",
].flatMap((name) => [[name, "stored"] as const, [name, "f32"] as const]);

describe.each(cases)("%s with %s weights", (name, weights) => {
  it("has heads that sum, with bias and norm, to what attention adds", async () => {
    using model = await loadModel(await openTiny(`families/${name}`), { device, weights });
    const layer = 1;
    const { bias, norm } = model.attentionOutput(layer);
    const sites = ["attn.hook_z", "attn.hook_result", "hook_attn_out"] as const;
    const [zSite, resultSite, outSite] = sites.map((site) => blockSite(layer, site));
    const scaleSite = norm === null ? null : blockSite(layer, norm.scaleSite);
    const capture = [zSite!, resultSite!, outSite!, ...(scaleSite === null ? [] : [scaleSite])];
    const [results, expectedResults, added, expected] = device.scope(() => {
      const { captured } = model.run([[5, 4, 3, 2, 1]], { capture, logits: "none" });
      const at = (site: string): Tensor => captured.get(site)!;
      const made = model.headResults(layer, at(zSite!));
      const summed = sum(made, { axis: 2 });
      const biased = bias === null ? summed : add(summed, bias);
      const normed =
        norm === null ? biased : mul(div(biased, at(scaleSite!)), add(norm.weight, norm.offset));
      return [made, at(resultSite!), normed, at(outSite!)] as const;
    });
    expect(results.shape).toEqual([1, 5, model.config.heads, model.config.dModel]);
    expect(await results.floats()).toEqual(await expectedResults.floats());
    expect(deviation(await added.floats(), await expected.floats())).toBeLessThan(1e-5);
    for (const tensor of [results, expectedResults, added, expected]) tensor.dispose();
  });
});

it("has a final bias where the norm is a LayerNorm, and no layers but its own", async () => {
  using gpt2 = await loadModel(await openTiny("families/gpt2"), { device });
  using llama = await loadModel(await openTiny("families/llama"), { device });
  expect(gpt2.finalNormBias()).toBe(gpt2.parameter("transformer.ln_f.bias"));
  expect(llama.finalNormBias()).toBeNull();
  expect(llama.unembeddingWeight()).toBe(llama.weight("lm_head.weight"));
  const unknown = expect.objectContaining({ code: "SITE_UNKNOWN" });
  expect(() => llama.attentionOutput(2)).toThrow(unknown);
  using z = device.zeros([1, 1, 4, 8]);
  expect(() => llama.headResults(2, z)).toThrow(unknown);
});
