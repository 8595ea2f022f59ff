import { copyInto, createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { memoryCheckpoints } from "./checkpoint.ts";
import type { TrainingContext } from "./contexts.ts";
import { meanLoss } from "./loss.ts";
import type { MetricsPoint } from "./metrics.ts";
import { contextSize, smallModel, smallRun, tokensPerStep } from "./testing/small-run.ts";
import { trainLanguageModel } from "./train-language-model.ts";

const device = new Device(createReferenceBackend());
afterEach(() => expectNoLeaks(device));
afterAll(() => device.dispose());

const embedding = "model.embed_tokens.weight";

async function weightsOf(model: ReturnType<typeof smallModel>): Promise<Float32Array[]> {
  return Promise.all(Object.values(model.trainableParameters()).map((tensor) => tensor.floats()));
}

describe("a run", () => {
  it("learns, evaluates when it is time, and reports as it goes", async () => {
    const steps = 40;
    const run = await smallRun(device, steps, { evaluateEvery: 15 * tokensPerStep });
    using model = run.model;
    const evaluated: number[] = [];
    const lines: MetricsPoint[] = [];
    const done: number[] = [];
    const result = await trainLanguageModel({
      ...run,
      evaluate: (given, tokens) => {
        expect(given).toBe(model);
        evaluated.push(tokens);
        return Promise.resolve({ recall: tokens / 10 });
      },
      onMetrics: (point) => lines.push(point),
      onProgress: (event) => done.push(event.done),
    });
    expect(evaluated).toEqual([15, 30, 40].map((step) => step * tokensPerStep));
    expect(lines).toEqual(result.points);
    expect(done).toEqual(Array.from({ length: steps }, (_, step) => (step + 1) * tokensPerStep));
    expect(result).toMatchObject({ steps, tokens: steps * tokensPerStep });
    const first = result.points.find((point) => point.validation !== undefined)?.validation ?? 0;
    expect(result.validation).toBeLessThan(first - 1);
    const byTokens = new Map(result.points.map((point) => [point.tokens, point]));
    expect(byTokens.get(15 * tokensPerStep)?.evaluation).toEqual({ recall: 72 });
    // A line's loss is the mean since the last one, so together they weigh every step once.
    expect(result.points.map(({ step }) => step)).toEqual(
      [...new Set([...even(steps), ...thirds(steps), 15, 30, 40])].sort((a, b) => a - b),
    );
  });

  it("ends with the average of its last weights, if that is no worse", async () => {
    const run = await smallRun(device, 20, { averageEvery: 1, averageShare: 0.2 });
    using model = run.model;
    const kept: Float32Array[][] = [];
    const result = await trainLanguageModel({
      ...run,
      checkpoints: {
        ...memoryCheckpoints(),
        save: async () => void kept.push(await weightsOf(model)),
        load: () => Promise.resolve(null),
      },
    });
    // Weights after steps 16 to 20; the stable checkpoint of step 12 is in the list as well.
    const last = kept.slice(-5);
    const expected = (last[0] ?? []).map((first, index) =>
      first.map((_, at) => last.reduce((sum, weights) => sum + (weights[index]?.[at] ?? 0), 0) / 5),
    );
    const given = await weightsOf(model);
    const [newest] = last.slice(-1);
    expect(result.averageValidation).not.toBeNull();
    expect(result.chosen).toBe(
      (result.averageValidation ?? 0) <= (result.validation ?? 0) ? "average" : "last",
    );
    const target = result.chosen === "average" ? expected : newest;
    for (const [index, weights] of given.entries())
      for (const [at, value] of weights.entries())
        expect(Math.abs(value - (target?.[index]?.[at] ?? Number.NaN))).toBeLessThan(1e-6);
    expect(await meanLoss(model, run.validation, 2)).toBeCloseTo(
      Math.min(result.validation ?? 0, result.averageValidation ?? 0),
      5,
    );
  });

  it("learns with Muon, and resumes it bit for bit", async () => {
    const settings = { optimiser: "muon", averageShare: 0 } as const;
    const trained = async (stop: number | null): Promise<Float32Array[]> => {
      const checkpoints = memoryCheckpoints();
      const abort = new AbortController();
      const first = await smallRun(device, 20, settings);
      using model = first.model;
      const going = trainLanguageModel({
        ...first,
        checkpoints,
        signal: abort.signal,
        onProgress: ({ done }) => {
          if (done === (stop ?? -1) * tokensPerStep) abort.abort();
        },
      });
      if (stop === null) {
        const { points } = await going;
        const losses = points.flatMap(({ validation }) => validation ?? []);
        expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) - 0.5);
        return weightsOf(model);
      }
      await expect(going).rejects.toMatchObject({ code: "ABORTED" });
      const second = await smallRun(device, 20, settings);
      using resumed = second.model;
      await trainLanguageModel({ ...second, checkpoints });
      return weightsOf(resumed);
    };
    expect(await trained(7)).toEqual(await trained(null));
  });

  it("keeps no more on the device from step to step", async () => {
    const run = await smallRun(device, 12, { averageShare: 0 });
    using _ = run.model;
    const live = new Set<number>();
    await trainLanguageModel({ ...run, onProgress: () => live.add(device.memory().liveBytes) });
    expect(live.size).toBe(1);
  });

  it("gives the same bits twice, and others with other micro-batches only by rounding", async () => {
    const trained = async (microBatch: number) => {
      const run = await smallRun(device, 6, { microBatch, averageShare: 0 });
      using model = run.model;
      await trainLanguageModel(run);
      return weightsOf(model);
    };
    const [one, again, whole] = [await trained(2), await trained(2), await trained(4)];
    expect(again).toEqual(one);
    for (const [index, weights] of whole.entries())
      for (const [at, value] of weights.entries())
        expect(Math.abs(value - (one[index]?.[at] ?? 0))).toBeLessThan(1e-4);
  });

  it("learns targets alone: what is ignored does not matter", async () => {
    const [masked, other] = [await firstStep(7), await firstStep(9)];
    expect(other).toEqual(masked);
  });
});

/** Weights after a step on contexts whose last inputs, of which nothing is learned, are `filler`. */
async function firstStep(filler: number): Promise<unknown> {
  using model = smallModel(device);
  const context: TrainingContext = {
    inputs: Int32Array.from({ length: contextSize }, (_, at) => (at < 6 ? at : filler)),
    targets: Int32Array.from({ length: contextSize }, (_, at) => (at < 6 ? at + 1 : -100)),
  };
  const { points } = await trainLanguageModel({
    model,
    contexts: {
      contextSize,
      identity: null,
      next: () => Promise.resolve(context),
      state: () => null,
      restore: () => undefined,
    },
    config: { tokens: 2 * contextSize, batch: 2, learningRate: 0.01, logEvery: 1 },
  });
  // The embedding of the filler has decayed by its weight alone, as every row has that was not seen.
  return [points[0]?.loss, points[0]?.norm, await weightsOf(model)];
}

function even(steps: number): number[] {
  return Array.from({ length: steps / 2 }, (_, index) => 2 * (index + 1));
}

function thirds(steps: number): number[] {
  return Array.from({ length: Math.floor(steps / 3) }, (_, index) => 3 * (index + 1));
}

describe("a run that cannot go on", () => {
  it("stops when the loss is no longer finite, naming the step, with its last checkpoint kept", async () => {
    const run = await smallRun(device, 10, { averageShare: 0 });
    using model = run.model;
    const checkpoints = memoryCheckpoints("the folder");
    const poisoned = trainLanguageModel({
      ...run,
      checkpoints,
      onProgress: ({ done }) => {
        if (done !== 4 * tokensPerStep) return;
        using nan = device.full([257, 8], Number.NaN);
        copyInto(nan, model.parameter(embedding), { axis: 0, start: 0 });
      },
    });
    await expect(poisoned).rejects.toThrow(
      /step 5 has a loss of NaN.*checkpoint is in the folder/u,
    );
    const kept = await checkpoints.load("newest");
    expect(kept?.state).toMatchObject({ step: 4 });
    expect(kept?.tensors.every(({ data }) => data.every(Number.isFinite))).toBe(true);
  });

  it("stops on request without checkpoints", async () => {
    const run = await smallRun(device, 10);
    using _ = run.model;
    await expect(trainLanguageModel({ ...run, signal: AbortSignal.abort() })).rejects.toThrow(
      /there were no checkpoints/u,
    );
  });

  it("says what does not fit", async () => {
    const run = await smallRun(device, 10);
    using _ = run.model;
    const long = { ...run.contexts, contextSize: contextSize + 1 };
    await expect(trainLanguageModel({ ...run, contexts: long })).rejects.toMatchObject({
      code: "CONTEXT_SIZE",
    });
    const blank = { inputs: new Int32Array(4), targets: new Int32Array(4).fill(-100) };
    await expect(trainLanguageModel({ ...run, validation: [blank] })).rejects.toMatchObject({
      code: "VALIDATION_EMPTY",
    });
    const config = { ...run.config, batch: 0 };
    await expect(trainLanguageModel({ ...run, config })).rejects.toMatchObject({
      code: "TRAINING_CONFIG",
    });
    const failing = () => Promise.reject(new TypeError("the caller's own"));
    await expect(
      trainLanguageModel({
        ...run,
        evaluate: failing,
        config: { ...run.config, evaluateEvery: 10 },
      }),
    ).rejects.toThrow("the caller's own");
  });
});
