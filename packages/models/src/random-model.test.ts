import { afterEach, describe, expect, it } from "vitest";
import { read, referenceDevice } from "./__fixtures__/support.ts";
import { randomModel } from "./random-model.ts";

const device = referenceDevice();
afterEach(() => expect(device.memory().liveBytes).toBe(0));

describe("randomModel", () => {
  it("is the same for the same seed and another for another", async () => {
    const make = async (seed: number) => {
      using other = randomModel({ device, seed, config: { layers: 1 } });
      const values = await other.parameter("model.layers.0.mlp.up_proj.weight").floats();
      return { values, hash: other.identity().weightsHash };
    };
    const [a, b, c] = [await make(4), await make(4), await make(5)];
    expect(a).toEqual(b);
    expect(a.values).not.toEqual(c.values);
    expect(a.hash).not.toEqual(c.hash);
  });

  it("survives the scope that it was made in", async () => {
    using other = device.scope(() =>
      randomModel({ device, seed: 0, config: { contextSize: 4_096 } }),
    );
    const result = await read(other, [[1, 2]]);
    expect(result.logits.every((x) => Number.isFinite(x))).toBe(true);
  });

  it("refuses sizes that contradict each other", () => {
    expect(() => randomModel({ device, seed: 0, config: { kvHeads: 3 } })).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID" }),
    );
  });
});
