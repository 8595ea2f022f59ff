// Every site against TransformerLens and the logits against transformers; see oracles/models/make.py.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deviation, openFixture, openTiny, read, referenceDevice } from "./__fixtures__/support.ts";
import type { LanguageModel } from "./language-model.ts";
import { loadModel } from "./load-model.ts";

const tolerance = 1e-4;

describe.each(["tiny-tied", "tiny-untied"])("%s", (name) => {
  const device = referenceDevice();
  let model: LanguageModel;
  let golden: Awaited<ReturnType<typeof openFixture>>;
  let tokens: number[][];

  beforeAll(async () => {
    model = await loadModel(await openTiny(name), { device });
    golden = await openFixture(`${name}.golden.safetensors`);
    const [batch = 0, length = 0] = golden.info("tokens").shape;
    const flat = await golden.readIntegers("tokens");
    tokens = Array.from({ length: batch }, (_, row) => [
      ...flat.subarray(row * length, (row + 1) * length),
    ]);
  });

  afterAll(() => {
    model.dispose();
    device.dispose();
  });

  it("has every site that TransformerLens has, and no other but logits", () => {
    // unembed.hook_in and hook_out are ln_final's output and the logits under other names.
    const theirs = golden
      .names()
      .filter((site) => site.includes("hook_") && !site.startsWith("unembed."));
    const ours = model.sites().map((site) => site.name);
    expect(new Set(ours.filter((site) => site !== "logits"))).toEqual(new Set(theirs));
  });

  it("computes transformers' logits by the fused path", async () => {
    const { logits } = await read(model, tokens);
    expect(deviation(logits, await golden.readFloats("logits"))).toBeLessThan(tolerance);
  });

  it("shows at every site what TransformerLens shows", async () => {
    const sites = model.sites().map((site) => site.name);
    const { at, shape, logits } = await read(model, tokens, { capture: sites });
    for (const site of sites) {
      expect(shape(site), site).toEqual(golden.info(site).shape);
      expect(deviation(at(site), await golden.readFloats(site)), site).toBeLessThan(tolerance);
    }
    expect(deviation(logits, await golden.readFloats("logits"))).toBeLessThan(tolerance);
  });

  it("shows the same at each site asked for alone, stopping there", async () => {
    for (const { name: site } of model.sites()) {
      const { at } = await read(model, tokens, { capture: [site], logits: "none" });
      expect(deviation(at(site), await golden.readFloats(site)), site).toBeLessThan(tolerance);
    }
  });

  it("generates transformers' greedy tokens", async () => {
    const expected = await golden.readIntegers("greedy");
    const prompt = tokens[0] ?? [];
    const generated: number[] = [];
    for await (const { token } of model.generate({
      tokens: prompt,
      maxTokens: expected.length,
      ignoreEos: true,
    })) {
      generated.push(token);
    }
    expect(generated).toEqual([...expected]);
  });
});
