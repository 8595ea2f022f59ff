import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { expect, test } from "vitest";
import { deviationOf, selfCheck } from "./self-check.ts";

test("finds that the CPU's kernels agree, says how fast they are, and leaves nothing", async () => {
  using device = await openCpuDevice({ matmul: "wasm", threads: 1 });
  const check = await selfCheck(device, { seconds: 0.01 });
  expect(check.operators.filter(({ agrees }) => !agrees)).toEqual([]);
  expect(check.agrees).toBe(true);
  expect(check.operators.map(({ operator }) => operator)).toContain("attention");
  expect(check.gflops).toBeGreaterThan(0.01);
  expectNoLeaks(device);
});

test("finds a kernel that is wrong, and which one", async () => {
  const backend = createReferenceBackend();
  const { softmaxRows, affine } = backend.kernels;
  const wrong: typeof softmaxRows = (x, rows, columns, out) => {
    softmaxRows(x, rows, columns, out);
    affine(out, 1.001, 0, out);
  };
  using device = new Device({ ...backend, kernels: { ...backend.kernels, softmaxRows: wrong } });
  const check = await selfCheck(device, { seconds: 0 });
  expect(check.agrees).toBe(false);
  const [found, ...others] = check.operators.filter(({ agrees }) => !agrees);
  expect(others).toEqual([]);
  expect(found?.operator).toBe("softmax");
  expect(found?.deviation).toBeCloseTo(0.001, 5);
});

test("stops at the signal", async () => {
  using device = new Device(createReferenceBackend());
  const signal = AbortSignal.abort(new DOMException("enough", "AbortError"));
  await expect(selfCheck(device, { signal })).rejects.toThrow("enough");
});

test("deviations are relative to the largest value, and NaN is none", () => {
  const of = (...values: number[]): Float32Array => Float32Array.from(values);
  expect(deviationOf(of(1, 2, -4), of(1, 2.5, -4))).toBe(0.125);
  expect(deviationOf(of(), of())).toBe(0);
  expect(deviationOf(of(0), of(0))).toBe(0);
  expect(deviationOf(of(1), of(0))).toBe(Number.POSITIVE_INFINITY);
  expect(deviationOf(of(Number.NaN), of(1))).toBe(Number.POSITIVE_INFINITY);
  expect(deviationOf(of(1), of(1, 2))).toBe(Number.POSITIVE_INFINITY);
});
