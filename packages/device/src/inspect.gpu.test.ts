// On a real adapter: a GPU, or Mesa's software driver.
import { findWebGpuAdapter } from "@latentkit/backend-webgpu";
import { describe, expect, it } from "vitest";
import { inspectWebGpu } from "./inspect.ts";

const adapter = await findWebGpuAdapter().catch((fault: unknown) => {
  // Where there must be one, its absence is a failure.
  if (process.env["CI"] === "true" || process.env["REQUIRE_GPU"] === "1") throw fault;
  return null;
});

describe.skipIf(adapter === null)("inspectWebGpu where there is an adapter", () => {
  it("finds operators that agree, a speed, and the time of each kernel where the device tells it", async () => {
    const timed = adapter?.description.features.includes("timestamp-query") ?? false;
    const found = await inspectWebGpu({ seconds: 0.01, profile: timed });
    if (!found.available) expect.unreachable(`${found.code}: ${found.why}`);
    expect(found.check.operators.filter(({ agrees }) => !agrees)).toEqual([]);
    expect(found.check.agrees).toBe(true);
    expect(found.check.gflops).toBeGreaterThan(0);
    expect(found.description).toEqual(adapter?.description);
    expect(found.description.vendor).not.toBe("");
    if (!timed) return;
    const kernels = found.profile ?? [];
    const matmul = kernels.filter(({ kernel }) => kernel.startsWith("matmul"));
    expect(matmul.reduce((sum, { calls }) => sum + calls, 0)).toBeGreaterThanOrEqual(6);
    expect(kernels.reduce((sum, { seconds }) => sum + seconds, 0)).toBeGreaterThan(0);
  });
});
