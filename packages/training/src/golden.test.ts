import { openCpuDevice } from "@latentkit/backend-cpu";
import type { Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenRun } from "./testing/golden-run.ts";
import { trainLanguageModel } from "./train-language-model.ts";

registerMatchers(expect);

let device: Device;
beforeAll(async () => {
  device = await openCpuDevice();
});
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

describe.each(["tied", "untied"] as const)("a model with a %s head", (name) => {
  it.each([4, 2, 1])(
    "has PyTorch's losses step by step in micro-batches of %i",
    async (microBatch) => {
      const { model, contexts, config, losses, norms } = goldenRun(name, device);
      const { points } = await trainLanguageModel({
        model,
        contexts,
        config: { ...config, microBatch },
      });
      model.dispose();
      // PyTorch's own f32 run is within 4e-7 of its f64 run.
      expect(points.map(({ loss }) => loss ?? Number.NaN)).toBeClose(losses, {
        rtol: 1e-5,
        atol: 0,
      });
      expect(points.map(({ norm }) => norm ?? Number.NaN)).toBeClose(norms, {
        rtol: 1e-4,
        atol: 0,
      });
    },
  );
});
