// Training on WebGPU, over all packages that it needs: the CPU's curve, the device's loss, memory that is not there.
import { arrayBatches } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { openWebGpuDevice } from "@latentkit/backend-webgpu";
import { RandomKey } from "@latentkit/core";
import {
  memoryCheckpoints,
  trainSae,
  type TrainingPoint,
  type TrainSaeOptions,
} from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gpuBehind, reasonToSkip } from "../support/webgpu.ts";

const skip = await reasonToSkip();
const dIn = 16;
const steps = 48;
const batchSize = 64;
/** Relative, of every figure of the curve: 48 steps of f32 in other orders of summation. */
const tolerance = 1e-4;

/** Rows of a few of 32 planted directions each, with strengths between 0.5 and 1.5. */
function plantedRows(rows: number, seed: number): Float32Array {
  const random = new RandomKey(seed).random();
  const directions = Float32Array.from(
    { length: 32 * dIn },
    () => random.normal() / Math.sqrt(dIn),
  );
  const data = new Float32Array(rows * dIn);
  for (let row = 0; row < rows; row++) {
    const out = data.subarray(row * dIn, (row + 1) * dIn);
    for (let feature = 0; feature < 32; feature++) {
      const active = random.uniform() < 0.08;
      const strength = 0.5 + random.uniform();
      if (!active) continue;
      const direction = directions.subarray(feature * dIn, (feature + 1) * dIn);
      for (const [column, value] of direction.entries())
        out[column] = (out[column] ?? 0) + strength * value;
    }
  }
  return data;
}

const rows = plantedRows(1200, 3);

function run(device: Device): TrainSaeOptions {
  return {
    device,
    batches: arrayBatches(rows.subarray(0, 1000 * dIn), dIn, 4),
    heldOut: rows.slice(1000 * dIn),
    config: {
      architecture: "jumprelu",
      dSae: 48,
      batchSize,
      steps,
      learningRate: 3e-3,
      learningRateWarmup: 5,
      normalisationTokens: 500,
      evaluateEvery: 8,
      checkpointEvery: 16,
      deadAfterTokens: 512,
      adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
      decoderBias: "zero",
      thresholdForm: "log",
      sparsity: 0.05,
      sparsityWarmup: 10,
      bandwidth: 0.1,
      initialThreshold: 0.1,
      seed: 9,
    },
  };
}

async function curve(options: TrainSaeOptions): Promise<readonly TrainingPoint[]> {
  const { sae, history } = await trainSae(options);
  sae.dispose();
  return history.points;
}

describe.skipIf(skip !== null)("a JumpReLU SAE trained on WebGPU", () => {
  let whole: Device;
  let points: readonly TrainingPoint[];

  beforeAll(async () => {
    whole = await openWebGpuDevice({});
    points = await curve(run(whole));
  });

  afterAll(() => {
    expect(whole.memory().liveBytes).toBe(0);
    whole.dispose();
  });

  it("has the CPU's curve, and learns", async () => {
    using cpu = await openCpuDevice();
    const expected = await curve(run(cpu));
    expect(points.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
    for (const [index, point] of points.entries())
      for (const name of ["loss", "l0", "fvu", "heldOutL0", "heldOutFvu"] as const) {
        const [ours, theirs] = [point[name], expected[index]?.[name] ?? Number.NaN];
        expect(Math.abs(ours - theirs), `${name} at step ${point.step}`).toBeLessThanOrEqual(
          tolerance * Math.abs(theirs),
        );
      }
    const [first, last] = [points[0]?.heldOutFvu ?? Number.NaN, points.at(-1)?.heldOutFvu];
    expect(last).toBeLessThan(first * 0.9);
  });

  it("goes on from its checkpoint on a new device after the device was lost, with the same bits", async () => {
    const checkpoints = memoryCheckpoints();
    const lost = await openWebGpuDevice({});
    const broken = trainSae({
      ...run(lost),
      checkpoints,
      onProgress: ({ done }) => (done === 27 * batchSize ? gpuBehind(lost).destroy() : undefined),
    });
    await expect(broken).rejects.toMatchObject({ code: "DEVICE_LOST" });
    lost.dispose();
    expect((await checkpoints.load())?.state).toMatchObject({ step: 16 });
    expect(await curve({ ...run(whole), checkpoints })).toEqual(points);
  });

  it("says that there is no memory for it, and gives back what it had taken", async () => {
    const device = await openWebGpuDevice({ memoryLimit: 30_000 });
    const { limits } = gpuBehind(device);
    using kept = device.full([100], 2);
    const before = device.memory().liveBytes;
    expect(before).toBe(400);
    await expect(trainSae(run(device))).rejects.toMatchObject({ code: "DEVICE_OUT_OF_MEMORY" });
    expect(device.memory().liveBytes).toBe(before);
    expect(() => device.empty([Math.floor(limits.maxBufferSize / 4) + 1])).toThrow(
      expect.objectContaining({ code: "DEVICE_OUT_OF_MEMORY" }),
    );
    expect(device.memory().liveBytes).toBe(before);
    // The limit is ours: the device goes on.
    expect((await kept.floats())[99]).toBe(2);
    kept.dispose();
    expect(device.memory().liveBytes).toBe(0);
    device.dispose();
  });
});
