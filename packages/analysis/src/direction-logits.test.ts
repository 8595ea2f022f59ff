import { slice } from "@latentkit/tensor";
import { afterEach, describe, expect, it } from "vitest";
import {
  distance,
  familyCases,
  openModel,
  prompts,
  referenceDevice,
} from "./__fixtures__/support.ts";
import { directionLogits } from "./direction-logits.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

describe.each(familyCases)("%s", (name) => {
  it("has its own logits for the final stream, but for bias and cap", async () => {
    using model = await openModel(name, device);
    const sites = [`blocks.${model.config.layers - 1}.hook_resid_post`, "ln_final.hook_scale"];
    using run = model.run([prompts[0]!], { capture: sites, logits: "last" });
    const scale = (await run.captured.get(sites[1]!)!.floats()).at(-1)!;
    const tokens = [3, 0, 7];
    const [all, some, none] = device.scope(() => {
      const stream = run.captured.get(sites[0]!)!;
      const last = slice(stream, {
        axis: 1,
        start: prompts[0]!.length - 1,
        end: prompts[0]!.length,
      });
      const rows = last.reshape([1, model.config.dModel]);
      return [
        directionLogits(model, rows, { scale }),
        directionLogits(model, rows, { scale, tokens }),
        // What a stream of zeros reads as: the norm's bias.
        model.readOut(device.zeros([1, model.config.dModel])),
      ] as const;
    });
    const cap = model.config.logitSoftCap;
    const uncapped = (logit: number) => (cap === undefined ? logit : cap * Math.atanh(logit / cap));
    const bias = await none.floats();
    const expected = (await run.logits!.floats()).map(
      (logit, token) => uncapped(logit) - uncapped(bias[token]!),
    );
    const found = await all.floats();
    expect(distance(found, expected)).toBeLessThan(1e-4);
    expect(await some.floats()).toEqual(Float32Array.from(tokens, (token) => found[token]!));
    for (const tensor of [all, some, none]) tensor.dispose();
  });
});

it("refuses a scale of 0", async () => {
  using model = await openModel("llama", device);
  using directions = device.zeros([1, model.config.dModel]);
  expect(() => directionLogits(model, directions, { scale: 0 })).toThrow(
    expect.objectContaining({ code: "ANALYSIS_SCALE" }),
  );
});
