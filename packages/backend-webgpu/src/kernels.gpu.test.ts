import { kernelSuite } from "@latentkit/tensor/testing";
import { describe, it } from "vitest";
import { openWebGpuDevice } from "./open.ts";
import { reasonToSkip } from "./test-support.ts";

const skip = await reasonToSkip();

// On the limits that every WebGPU device has: 8 storage buffers, bindings of 128 MiB.
if (skip === null) kernelSuite("webgpu", () => openWebGpuDevice({ limits: "default" }));
else describe("kernels of webgpu", () => it.skip(skip));
