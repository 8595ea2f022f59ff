import type { Tensor } from "@latentkit/tensor";
import { afterAll, expect, it } from "vitest";
import { referenceDevice } from "../__fixtures__/support.ts";
import { logitDifference, nextTokenLoss, targetLogProbability } from "./metrics.ts";

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

it("metrics give one value a row where that is asked for", async () => {
  const logits = Float32Array.of(1, 2, 4, 0, 0, 0, 3, 3, 3, 5, 1, 0);
  using given = device.tensor(logits, [2, 2, 3]);
  const reduction = "none";
  using differences = logitDifference({ target: 0, contrast: [2, 1], position: 0, reduction })(
    given,
  );
  expect([...(await differences.floats())]).toEqual([-3, 0]);
  const tokens = [
    [0, 2],
    [0, 1],
  ];
  using losses = nextTokenLoss({ tokens, reduction })(given);
  const expected = [Math.log(Math.exp(-3) + Math.exp(-2) + 1), Math.log(3)];
  for (const [row, loss] of (await losses.floats()).entries())
    expect(Math.abs(loss - expected[row]!)).toBeLessThan(1e-6);
  using loss = nextTokenLoss({ tokens })(given);
  expect(Math.abs((await loss.item()) - (expected[0]! + expected[1]!) / 2)).toBeLessThan(1e-6);
  expect(() => nextTokenLoss({ tokens: [[0, 2]] })(given)).toThrow(
    expect.objectContaining({ code: "METRIC_LOGITS" }),
  );
});
