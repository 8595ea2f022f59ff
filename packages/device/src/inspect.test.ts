import { afterEach, expect, test, vi } from "vitest";
import { inspectWebGpu } from "./inspect.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

function hostWith(adapter: unknown): void {
  const gpu = { requestAdapter: () => Promise.resolve(adapter) };
  vi.stubGlobal("navigator", { hardwareConcurrency: 1, gpu });
}

test("says that there is no adapter, and what to do", async () => {
  hostWith(null);
  const found = await inspectWebGpu();
  expect(found).toMatchObject({ available: false, code: "WEBGPU_NO_ADAPTER", description: null });
  expect(found.available ? "" : found.fix).toContain("install");
});

test("says what the adapter was that gave no device", async () => {
  const info = { vendor: "v", architecture: "hopper", device: "", description: " driver 1 " };
  const requestDevice = () => Promise.reject(new Error("no device"));
  hostWith({ info, features: new Set(["shader-f16"]), limits: {}, requestDevice });
  expect(await inspectWebGpu()).toMatchObject({
    available: false,
    code: "WEBGPU_REFUSED",
    description: { adapter: "v hopper", description: "driver 1", features: ["shader-f16"] },
  });
});

test("throws at the signal", async () => {
  hostWith(null);
  const signal = AbortSignal.abort(new DOMException("enough", "AbortError"));
  await expect(inspectWebGpu({ signal })).rejects.toThrow("enough");
});
