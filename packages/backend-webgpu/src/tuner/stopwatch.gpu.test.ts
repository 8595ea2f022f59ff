import { matmul } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { choosePlan } from "../kernels/matmul/choose.ts";
import { nameOfPlan } from "../kernels/matmul/plan.ts";
import { openForTest, reasonToSkip } from "../test-support.ts";
import { withPlans, noPlans } from "./store.ts";
import type { WebGpuBackend } from "./tune.ts";

registerMatchers(expect);
const skip = await reasonToSkip();

describe.skipIf(skip !== null)("on a device", () => {
  it.each([
    ["the device's clock, where it tells it", [] as const],
    ["the host's clock", ["timestamps"] as const],
  ])("the stopwatch times what is issued by %s", async (_, off) => {
    const { device } = await openForTest({ off });
    const { stopwatch } = (device.backend as WebGpuBackend).tuning;
    const x = device.full([1 << 14], 1);
    const times = (count: number) =>
      stopwatch.seconds(() => {
        for (let turn = 0; turn < count; turn++)
          device.backend.kernels.affine(x.slice, 1, 1, x.slice);
      });
    await times(1);
    const [few, many] = [await times(2), await times(50)];
    expect(few).toBeGreaterThan(0);
    expect(many).toBeGreaterThan(few);
    expect((await x.floats())[0]).toBe(54);
    device.dispose();
  });

  it("a store's plan is the one that products take, and factors are halves only where that is asked for", async () => {
    const shape = { batch: 1, m: 6, n: 6, k: 8, transposeA: false, transposeB: false };
    // 1 + 2^-12 is no half: with factors in f16 the product is that of ones.
    const value = 1 + 2 ** -12;
    for (const halves of [false, true]) {
      const name = `tiled:16x64x16:4x4:1:${halves ? "f16" : "f32"}`;
      const wanted = { [`nn:b1:m8:n8:k8:${halves ? "f16" : "f32"}`]: name };
      const probe = await openForTest({});
      const { adapter, features } = (probe.device.backend as WebGpuBackend).tuning;
      probe.device.dispose();
      const plans = withPlans(noPlans, adapter, wanted);
      const { device } = await openForTest({ halves, plans });
      const { tuning } = device.backend as WebGpuBackend;
      const known = { ...shape, halves: tuning.runtime.halves };
      if (!halves || features.f16) {
        expect(nameOfPlan(choosePlan(known, features))).not.toBe(name);
        expect(nameOfPlan(tuning.plans.planFor(known))).toBe(name);
      }
      const x = device.full([6, 8], value);
      const y = device.full([8, 6], value);
      const product = matmul(x, y);
      const exact = 8 * (halves && features.f16 ? 1 : value * value);
      expect(await product.floats()).toBeClose(new Array<number>(36).fill(exact), {
        rtol: 2 ** -22,
        atol: 0,
      });
      device.dispose();
    }
  });
});
