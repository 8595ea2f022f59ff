import type { WebGpuInspection } from "@latentkit/device";
import { describe, expect, it } from "vitest";
import { run } from "../testing/run.ts";
import { profileTable, webGpuRows } from "./webgpu.ts";

const description = {
  adapter: "nvidia hopper",
  vendor: "nvidia",
  architecture: "hopper",
  description: "",
  software: false,
  features: ["shader-f16", "timestamp-query"],
  limits: {
    maxStorageBuffersPerShaderStage: 16,
    maxStorageBufferBindingSize: 2 ** 31,
    maxBufferSize: 2 ** 32,
    maxComputeWorkgroupStorageSize: 32_768,
    maxComputeInvocationsPerWorkgroup: 1024,
  },
};

const row = (found: WebGpuInspection, name: string): string | undefined =>
  webGpuRows(found).find(([what]) => what === name)?.[1];

describe("what doctor says of WebGPU", () => {
  it("names the adapter, what it offers, and the operator that is wrong", () => {
    const operators = [
      { operator: "softmax", deviation: 2e-7, tolerance: 1e-5, agrees: true },
      { operator: "GELU", deviation: 0.5, tolerance: 1e-5, agrees: false },
    ];
    const check = { agrees: false, operators, gflops: 1234.5, size: 2048, seconds: 1.26 };
    const found = { available: true, description, check, profile: null } as const;
    expect(row(found, "webgpu adapter")).toBe("nvidia hopper");
    expect(row(found, "webgpu driver")).toBe("not told");
    expect(row(found, "webgpu shader-f16")).toBe("yes");
    expect(row(found, "webgpu subgroups")).toBe("no");
    expect(row(found, "webgpu largest binding")).toBe("2048 MiB");
    expect(row(found, "webgpu workgroups")).toBe("1024 invocations, 32 KiB");
    expect(row(found, "webgpu softmax")).toContain("agrees");
    expect(row(found, "webgpu GELU")).toBe("IS WRONG: deviation 5.0e-1, allowed 0.00001");
    expect(row(found, "webgpu speed")).toContain("1.23e+3 GFLOP/s");
    expect(row(found, "webgpu check")).toBe("FAILED in 1.3 s");
  });

  it("says why there is none and what to do, and what was found before", () => {
    const fault = {
      available: false,
      code: "WEBGPU_REFUSED",
      why: "no device",
      fix: "try",
    } as const;
    expect(webGpuRows({ ...fault, description: null })).toEqual([
      ["webgpu", "none, WEBGPU_REFUSED: no device"],
      ["", "try"],
    ]);
    expect(row({ ...fault, description }, "webgpu adapter")).toBe("nvidia hopper");
  });

  it("has milliseconds, MiB and the rate of each kernel", () => {
    const kernel = { kernel: "fill", calls: 3, seconds: 0.5, bytes: 2 ** 30 };
    expect(profileTable([kernel, { ...kernel, seconds: 0 }]).rows).toEqual([
      ["fill", "3", "500.000", "1024.00", "2.00"],
      ["fill", "3", "0.000", "1024.00", ""],
    ]);
  });
});

describe("doctor --no-webgpu", () => {
  it("leaves WebGPU alone", async () => {
    const { code, stdout } = await run(["doctor", "--no-webgpu", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ node: process.version, webgpu: null });
  });
});
