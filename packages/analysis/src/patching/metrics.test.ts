import type { Tensor } from "@latentkit/tensor";
import { afterAll, expect, it } from "vitest";
import { referenceDevice } from "../__fixtures__/support.ts";
import { logitDifference, targetLogProbability } from "./metrics.ts";

const device = referenceDevice();

afterAll(() => expect(device.memory().liveBytes).toBe(0));

it("metrics are means over rows at a position", async () => {
  const logits = Float32Array.of(1, 2, 4, 0, 0, 0, 3, 3, 3, 5, 1, 0);
  const scope = (run: (given: Tensor) => Tensor) => {
    using given = device.tensor(logits, [2, 2, 3]);
    using result = device.scope(() => run(given));
    return result.item();
  };
  expect(await scope(logitDifference({ target: 0, contrast: [2, 1], position: -1 }))).toBe(2);
  expect(await scope(logitDifference({ target: [1, 0], contrast: 2, position: 0 }))).toBe(-1);
  const expected = (-Math.log(3) + (1 - Math.log(Math.exp(5) + Math.exp(1) + 1))) / 2;
  const given = await scope(targetLogProbability({ target: 1 }));
  expect(Math.abs(given - expected)).toBeLessThan(1e-5);
});
