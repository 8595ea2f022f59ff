import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expect, it } from "vitest";
import { byKernel, profileWebGpu } from "./profile.ts";

it("sums calls, seconds and bytes by kernel, the longest first", () => {
  const dispatches = [
    { name: "a", seconds: 0.25, bytes: 10 },
    { name: "b", seconds: 0.5, bytes: 1 },
    { name: "a", seconds: 0.5, bytes: 20 },
    { name: "c", seconds: 0.5, bytes: 2 },
  ];
  expect(byKernel(dispatches)).toEqual([
    { kernel: "a", calls: 2, seconds: 0.75, bytes: 30 },
    { kernel: "b", calls: 1, seconds: 0.5, bytes: 1 },
    { kernel: "c", calls: 1, seconds: 0.5, bytes: 2 },
  ]);
  expect(byKernel([])).toEqual([]);
});

it("refuses devices that are not on WebGPU, and does not begin the work", async () => {
  using device = new Device(createReferenceBackend());
  await expect(profileWebGpu(device, () => expect.unreachable())).rejects.toMatchObject({
    code: "NOT_WEBGPU",
  });
});
