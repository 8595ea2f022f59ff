import { afterAll, afterEach, beforeAll, describe, expect } from "vitest";
import { Device } from "../device.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import { expectNoLeaks } from "./leaks.ts";
import { registerMatchers } from "./matchers.ts";
import type { Suite } from "./suite/agree.ts";
import { arrangeSuite } from "./suite/arrange.ts";
import { attentionSuite } from "./suite/attention.ts";
import { attentionGoldenSuite } from "./suite/attention-goldens.ts";
import { autogradSuite } from "./suite/autograd.ts";
import { checkpointSuite } from "./suite/checkpoint.ts";
import { broadcastSuite } from "./suite/broadcast.ts";
import { elementwiseSuite } from "./suite/elementwise.ts";
import { elementwiseGoldenSuite } from "./suite/elementwise-goldens.ts";
import { elementwiseGradientSuite } from "./suite/elementwise-gradients.ts";
import { goldenSuite } from "./suite/goldens.ts";
import { gradientSuite } from "./suite/gradients.ts";
import { guardSuite } from "./suite/guards.ts";
import { indexingGoldenSuite } from "./suite/indexing-goldens.ts";
import { indexingSuite } from "./suite/indexing.ts";
import { jumpReluDenseSuite } from "./suite/jump-relu-dense.ts";
import { layoutSuite } from "./suite/layout.ts";
import { lossSuite } from "./suite/losses.ts";
import { matmulGoldenSuite } from "./suite/matmul-goldens.ts";
import { matmulGradientSuite } from "./suite/matmul-gradients.ts";
import { matmulSuite } from "./suite/matmul.ts";
import { normaliseGoldenSuite } from "./suite/normalise-goldens.ts";
import { normaliseSuite } from "./suite/normalise.ts";
import { optimiseSuite } from "./suite/optimise.ts";
import { optimiserSuite } from "./suite/optimisers.ts";
import { positionGoldenSuite } from "./suite/position-goldens.ts";
import { positionSuite } from "./suite/position.ts";
import { randomSuite } from "./suite/random.ts";
import { reduceSuite } from "./suite/reduce.ts";
import { reduceGradientSuite } from "./suite/reduce-gradients.ts";
import { sortSuite } from "./suite/sort.ts";
import { sparseAutogradSuite } from "./suite/sparse-autograd.ts";
import { sparseGoldenSuite } from "./suite/sparse-goldens.ts";
import { sparseSuite } from "./suite/sparse.ts";
import { storedSuite } from "./suite/stored.ts";
import { trainingCurveSuite } from "./suite/training-curve.ts";
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
    const wide = new Device(createReferenceBackend({ precision: "f64" }));
    const suite: Suite = {
      reference,
      wide,
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
      expectNoLeaks(wide);
    });
    afterAll(() => {
      device?.dispose();
      reference.dispose();
      wide.dispose();
    });

    describe("memory and layout", () => {
      layoutSuite(suite);
      arrangeSuite(suite);
    });
    describe("indexing", () => {
      indexingSuite(suite);
      indexingGoldenSuite(suite);
    });
    describe("sorting and running sums", () => {
      sortSuite(suite);
    });
    describe("random numbers", () => {
      randomSuite(suite);
    });
    describe("elementwise", () => {
      elementwiseSuite(suite);
      broadcastSuite(suite);
      elementwiseGradientSuite(suite);
      elementwiseGoldenSuite(suite);
    });
    describe("reductions", () => {
      reduceSuite(suite);
      reduceGradientSuite(suite);
    });
    describe("matrix products", () => {
      matmulSuite(suite);
      matmulGradientSuite(suite);
      matmulGoldenSuite(suite);
    });
    describe("stored weights", () => {
      storedSuite(suite);
    });
    describe("transformer", () => {
      transformerSuite(suite);
    });
    describe("attention", () => {
      attentionSuite(suite);
      attentionGoldenSuite(suite);
    });
    describe("norms, softmax and losses", () => {
      normaliseSuite(suite);
      lossSuite(suite);
      normaliseGoldenSuite(suite);
    });
    describe("positions", () => {
      positionSuite(suite);
      positionGoldenSuite(suite);
    });
    describe("sparse rows", () => {
      sparseSuite(suite);
      sparseAutogradSuite(suite);
      sparseGoldenSuite(suite);
    });
    describe("gradients", () => {
      gradientSuite(suite);
      jumpReluDenseSuite(suite);
    });
    describe("optimisation", () => {
      optimiseSuite(suite);
    });
    describe("optimisers", () => {
      optimiserSuite(suite);
    });
    describe("training", () => {
      trainingCurveSuite(suite);
    });
    describe("autograd", () => {
      autogradSuite(suite);
      checkpointSuite(suite);
    });
    describe("bounds", () => {
      guardSuite(suite);
    });
    describe("goldens", () => {
      goldenSuite(suite, 10);
    });
  });
}
