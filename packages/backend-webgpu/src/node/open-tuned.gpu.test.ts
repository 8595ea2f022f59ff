import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { matmul, type Device } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reasonToSkip } from "../test-support.ts";
import type { TuneMeasurement, WebGpuBackend } from "../tuner/tune.ts";
import { openTunedWebGpuDevice } from "./open-tuned.ts";

registerMatchers(expect);
const skip = await reasonToSkip();
// Small, so that measuring is compiling and little else.
const shape = { m: 2, n: 16, k: 32 };

async function productOn(device: Device): Promise<Float32Array> {
  const values = (count: number) => Float32Array.from({ length: count }, (_, i) => (i % 13) / 7);
  using a = device.tensor(values(64), [2, 32]);
  using b = device.tensor(values(512), [32, 16]);
  using product = matmul(a, b);
  return product.floats();
}

function planOf(device: Device): unknown {
  const { plans, runtime } = (device.backend as WebGpuBackend).tuning;
  const { halves } = runtime;
  return plans.planFor({ ...shape, batch: 1, transposeA: false, transposeB: false, halves });
}

describe.skipIf(skip !== null)("a device with a memory of plans", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "plans-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("measures once; the next device finds the plan, and computes the same", async () => {
    const path = join(folder, "new", "plans.json");
    const seen: TuneMeasurement[] = [];
    const options = {
      path,
      secondsEach: 1e-6,
      onProgress: (measured: TuneMeasurement) => void seen.push(measured),
    };
    const first = await openTunedWebGpuDevice([shape], options);
    const count = seen.length;
    expect(count).toBeGreaterThan(0);
    expect(await readdir(join(folder, "new"))).toEqual(["plans.json"]);
    const second = await openTunedWebGpuDevice([shape], options);
    expect(seen).toHaveLength(count);
    expect(planOf(second)).toEqual(planOf(first));
    expect(await productOn(second)).toEqual(await productOn(first));
    second.dispose();
    first.dispose();
    // A plan of that class which no device has is measured again, and then kept.
    const text = await readFile(path, "utf8");
    const unknown = text.replace(/"(nn:[^"]*)": "[^"]*"/, '"$1": "gone"');
    expect(unknown).not.toBe(text);
    await writeFile(path, unknown);
    for (const wanted of [count, 0]) {
      seen.length = 0;
      (await openTunedWebGpuDevice([shape], options)).dispose();
      expect(seen).toHaveLength(wanted);
    }
  });

  it("keeps no plan of a run that was aborted", async () => {
    const path = join(folder, "aborted.json");
    const stop = new AbortController();
    const run = openTunedWebGpuDevice([shape, { ...shape, n: 64 }], {
      path,
      secondsEach: 1e-6,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(run).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
    expect(await readdir(folder)).not.toContain("aborted.json");
  });
});
