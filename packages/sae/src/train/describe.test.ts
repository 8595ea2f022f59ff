import { createReferenceBackend, Device } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { smallRun, smallRunKinds } from "../testing/small-run.ts";
import { parseTrainConfig } from "./config.ts";
import { describeTraining, trainingSchedule } from "./describe.ts";
import { learningRateAt, sparsityAt } from "./schedule.ts";
import { shortRunJumpRelu, topK } from "./recipes.ts";

const device = new Device(createReferenceBackend());
const configs = smallRunKinds.map((kind) => parseTrainConfig(smallRun(kind, device, 40).config));

describe("describeTraining", () => {
  it("states warm-ups, decay and dead latents in activations", () => {
    const config = shortRunJumpRelu({ dSae: 4096, tokens: 1_024_000 });
    const said = new Map(describeTraining(config).map(({ name, value }) => [name, value]));
    expect(said.get("learning rate")).toBe(
      "0.001, after a cosine warm-up from a tenth of it over 50 steps (51,200 activations), linear to 0 over the last 20%, 200 steps (204,800 activations)",
    );
    expect(said.get("lambda")).toBe("0.001, linear from 0 over 100 steps (102,400 activations)");
    expect(said.get("a latent is dead")).toBe(
      "once it has been silent for 102,400 training activations",
    );
    expect(said.get("length")).toBe("1,000 steps (1,024,000 activations), batches of 1,024");
    expect(said.get("bandwidth")).toBe("0.02");
  });

  it("leaves no setting unsaid, whatever the kind", () => {
    for (const config of configs) {
      const text = JSON.stringify(describeTraining(config));
      // The decay is stated as a percentage, the rest of these change no result.
      const quiet = new Set([
        "blockRows",
        "checkpointEvery",
        "evaluateEvery",
        "learningRateDecay",
        "schemaVersion",
      ]);
      for (const [name, value] of Object.entries(config)) {
        if (quiet.has(name) || typeof value !== "number") continue;
        const shown = value.toLocaleString("en-US", { maximumSignificantDigits: 12 });
        expect(text.includes(shown) || text.includes(String(value)), name).toBe(true);
      }
      expect(text).toContain("the last 20%");
    }
  });
});

describe("trainingSchedule", () => {
  it("takes the values of the steps that it names", () => {
    for (const config of configs) {
      const points = trainingSchedule(config, 7);
      expect(points.map(({ presentations }) => presentations / 32)).toEqual([
        0, 7, 13, 20, 26, 33, 39,
      ]);
      for (const { presentations, learningRate, sparsity } of points) {
        expect(learningRate).toBe(learningRateAt(config, presentations / 32));
        expect(sparsity).toBe("sparsity" in config ? sparsityAt(config, presentations / 32) : null);
      }
    }
  });

  it("has every step of a short run", () => {
    const config = topK({ dSae: 64, k: 4, tokens: 2048 });
    expect(trainingSchedule(config)).toHaveLength(2);
    expect(trainingSchedule({ ...config, steps: 1 })).toHaveLength(1);
  });
});
