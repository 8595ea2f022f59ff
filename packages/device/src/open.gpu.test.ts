// On a real adapter: a GPU, or Mesa's software driver.
import { describeWebGpu } from "@latentkit/backend-webgpu";
import { matmul } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { openDevice } from "./open.ts";

const adapter = await describeWebGpu().catch((fault: unknown) => {
  // Where there must be one, its absence is a failure.
  if (process.env["CI"] === "true" || process.env["REQUIRE_GPU"] === "1") throw fault;
  return null;
});

describe.skipIf(adapter === null)("openDevice where there is an adapter", () => {
  it.each([
    { asked: "webgpu", options: {} },
    { asked: "auto", options: { software: true } },
  ] as const)("opens WebGPU for $asked, which multiplies matrices", async ({ asked, options }) => {
    const { device, report } = await openDevice(asked, options);
    using opened = device;
    expect(report).toMatchObject({ asked, chosen: "webgpu", declined: [] });
    expect(opened.info.name).toBe("webgpu");
    using product = opened.scope(() =>
      matmul(opened.tensor([1, 2, 3, 4], [2, 2]), opened.tensor([5, 6, 7, 8], [2, 2])),
    );
    expect([...(await product.floats())]).toEqual([19, 22, 43, 50]);
  });

  it("goes by what the adapter is, for auto", async () => {
    const { device, report } = await openDevice("auto");
    using opened = device;
    const software = adapter?.software ?? false;
    expect(report.chosen).toBe(software ? "cpu" : "webgpu");
    expect(report.declined.map(({ code }) => code)).toEqual(software ? ["SOFTWARE_ADAPTER"] : []);
    expect(opened.info.name).toBe(report.chosen);
  });
});
