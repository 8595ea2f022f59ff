import { afterAll, afterEach, expect, it } from "vitest";
import { read, referenceDevice } from "./__fixtures__/support.ts";
import { randomModel } from "./random-model.ts";

const device = referenceDevice();
const sizes = { layers: 2, dModel: 16, heads: 2, kvHeads: 1, dHead: 8, dMlp: 20, contextSize: 32 };
const model = randomModel({ device, seed: 5, config: sizes });
const resting = device.memory().liveBytes;

afterEach(() => expect(device.memory().liveBytes).toBe(resting));
afterAll(() => {
  model.dispose();
  device.dispose();
});

it("selects sequences in any order, each to go on by itself", async () => {
  const prompts = [
    [1, 2, 3],
    [9, 8, 7],
  ];
  using cache = model.createCache({ batch: 2, capacity: 6 });
  model.run(prompts, { cache, logits: "none" }).dispose();
  using picked = cache.select([1, 0, 1]);
  expect([picked.batch, picked.length, picked.capacity]).toEqual([3, 3, 6]);
  const inputs = [[4], [5], [6]];
  const { logits } = await read(model, inputs, { cache: picked });
  const whole = [
    [9, 8, 7, 4],
    [1, 2, 3, 5],
    [9, 8, 7, 6],
  ];
  for (const [row, tokens] of whole.entries()) {
    const alone = await read(model, [tokens], { logits: "last" });
    const { vocabulary } = model.config;
    for (const [token, expected] of alone.logits.entries())
      expect(logits[row * vocabulary + token]).toBeCloseTo(expected, 4);
  }
  // The cache that it was copied from has not moved.
  expect(cache.length).toBe(3);
  for (const rows of [[], [2], [-1], [0.5]])
    expect(() => cache.select(rows)).toThrow(expect.objectContaining({ code: "CACHE_ROWS" }));
});
