import { afterEach, expect, test, vi } from "vitest";
import { openDevice } from "./index.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

const cpu = { matmul: "wasm", threads: 1 } as const;

function hostWith(adapter: unknown): void {
  const gpu = { requestAdapter: () => Promise.resolve(adapter) };
  vi.stubGlobal("navigator", { hardwareConcurrency: 1, gpu });
}

function adapterNamed(architecture: string, isFallbackAdapter: boolean) {
  const info = { vendor: "v", architecture, device: "", description: "", isFallbackAdapter };
  const requestDevice = () => Promise.reject(new Error("no device"));
  return { info, features: new Set(), limits: {}, requestDevice };
}

test("takes the CPU where WebGPU has no adapter, and computes on it", async () => {
  hostWith(null);
  const { device, report } = await openDevice("auto", { cpu });
  using opened = device;
  expect(report.chosen).toBe("cpu");
  expect(report.declined.map(({ code }) => code)).toEqual(["WEBGPU_NO_ADAPTER"]);
  expect(await opened.tensor([1, 2], [2]).floats()).toEqual(new Float32Array([1, 2]));
});

test.each([
  ["other", true],
  ["swiftshader", false],
  ["llvmpipe", false],
])("passes over software adapters: %s, fallback %s", async (name, fallback) => {
  hostWith(adapterNamed(name, fallback));
  const { device, report } = await openDevice("auto", { cpu });
  device[Symbol.dispose]();
  expect(report.declined.map(({ code }) => code)).toEqual(["SOFTWARE_ADAPTER"]);
  expect(report.why).toContain(name);
});

test("tries a software adapter when told to, and a GPU; says so if they refuse", async () => {
  for (const [adapter, software] of [
    [adapterNamed("swiftshader", true), true],
    [adapterNamed("hopper", false), false],
  ] as const) {
    hostWith(adapter);
    const { device, report } = await openDevice("auto", { cpu, software });
    device[Symbol.dispose]();
    expect(report.declined.map(({ code }) => code)).toEqual(["WEBGPU_REFUSED"]);
  }
});

test("asks for the adapter once, and opens the one that it looked at", async () => {
  const requestAdapter = vi.fn<(options: unknown) => Promise<unknown>>(() =>
    Promise.resolve(adapterNamed("hopper", false)),
  );
  vi.stubGlobal("navigator", { hardwareConcurrency: 1, gpu: { requestAdapter } });
  for (const asked of ["auto", "webgpu"] as const) {
    requestAdapter.mockClear();
    const opening = openDevice(asked, { cpu, webgpu: { power: "low-power" } });
    if (asked === "webgpu") await expect(opening).rejects.toMatchObject({ code: "WEBGPU_REFUSED" });
    else (await opening).device[Symbol.dispose]();
    expect(requestAdapter.mock.calls).toEqual([[{ powerPreference: "low-power" }]]);
  }
});

test("does not go on to the CPU when WebGPU was asked for by name", async () => {
  hostWith(null);
  await expect(openDevice("webgpu")).rejects.toMatchObject({ code: "WEBGPU_NO_ADAPTER" });
});

test("faults of options are not swallowed, and unknown names are refused", async () => {
  hostWith(adapterNamed("hopper", false));
  await expect(openDevice("auto", { cpu, webgpu: { memoryLimit: 0 } })).rejects.toMatchObject({
    code: "VALUE_RANGE",
  });
  await expect(openDevice("gpu" as "auto")).rejects.toMatchObject({ code: "DEVICE_UNKNOWN" });
});
