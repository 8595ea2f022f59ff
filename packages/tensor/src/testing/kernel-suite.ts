import { afterAll, afterEach, beforeAll, describe, expect } from "vitest";
import { Device } from "../device.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import { expectNoLeaks } from "./leaks.ts";
import { registerMatchers } from "./matchers.ts";
import type { Suite } from "./suite/agree.ts";
import { elementwiseSuite } from "./suite/elementwise.ts";
import { goldenSuite } from "./suite/goldens.ts";
import { gradientSuite } from "./suite/gradients.ts";
import { guardSuite } from "./suite/guards.ts";
import { jumpReluDenseSuite } from "./suite/jump-relu-dense.ts";
import { layoutSuite } from "./suite/layout.ts";
import { matmulSuite } from "./suite/matmul.ts";
import { optimiseSuite } from "./suite/optimise.ts";
import { reduceSuite } from "./suite/reduce.ts";
import { sparseSuite } from "./suite/sparse.ts";
import { transformerSuite } from "./suite/transformer.ts";

/**
 * The tests that every backend passes: each operator against the reference backend over many shapes (empty, 1, odd, longer
 * than a SIMD register, views that start anywhere), identities, NaN and infinity, and no bytes left after any test.
 *
 * @param name of the backend, for the report
 * @param makeDevice opens a device of it; the suite disposes it
 *
 * @example
 * kernelSuite("cpu", () => openCpuDevice());
 */
export function kernelSuite(name: string, makeDevice: () => Device | Promise<Device>): void {
  registerMatchers(expect);

  describe(`kernels of ${name}`, () => {
    let device: Device | undefined;
    let baseline = 0;
    const reference = new Device(createReferenceBackend());
    const suite: Suite = {
      reference,
      get device() {
        if (device === undefined) throw new TypeError("the device is there only while tests run");
        return device;
      },
    };

    beforeAll(async () => {
      device = await makeDevice();
      baseline = device.memory().liveBytes;
    });
    afterEach(() => {
      expectNoLeaks(suite.device, baseline);
      expectNoLeaks(reference);
    });
    afterAll(() => {
      device?.dispose();
      reference.dispose();
    });

    describe("memory and layout", () => {
      layoutSuite(suite);
    });
    describe("elementwise", () => {
      elementwiseSuite(suite);
    });
    describe("reductions", () => {
      reduceSuite(suite);
    });
    describe("matrix products", () => {
      matmulSuite(suite);
    });
    describe("transformer", () => {
      transformerSuite(suite);
    });
    describe("sparse rows", () => {
      sparseSuite(suite);
    });
    describe("gradients", () => {
      gradientSuite(suite);
      jumpReluDenseSuite(suite);
    });
    describe("optimisation", () => {
      optimiseSuite(suite);
    });
    describe("bounds", () => {
      guardSuite(suite);
    });
    describe("goldens", () => {
      goldenSuite(suite, 10);
    });
  });
}
