import { Device } from "@latentkit/tensor";
import { kernelSuite } from "@latentkit/tensor/testing";
import { describe, it } from "vitest";
import { createCpuBackend } from "./backend.ts";
import { openCpuDevice } from "./open.ts";
import { reasonToSkipBlas } from "./test-support.ts";
import { kernelFlavour } from "./wasm/instance.ts";

const skip = await reasonToSkipBlas();

kernelSuite("cpu, own matrix product", () => openCpuDevice({ matmul: "wasm" }));

if (skip === null) kernelSuite("cpu, blas", () => openCpuDevice({ matmul: "blas" }));
else describe("kernels of cpu, blas", () => it.skip(skip));

// Engines with relaxed SIMD use those kernels above; the plain ones are what older engines run.
if (kernelFlavour() === "relaxed") {
  kernelSuite(
    "cpu, without relaxed SIMD",
    async () => new Device(await createCpuBackend({ library: null, flavour: "plain" })),
  );
}
