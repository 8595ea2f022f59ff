import { add } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterEach, describe, expect, it } from "vitest";
import { type Opened, openForTest, reasonToSkip } from "../test-support.ts";
import { profileWebGpu } from "./profile.ts";

const skip = await reasonToSkip("timestamp-query");

describe.skipIf(skip !== null)("a profile on WebGPU", () => {
  const open: Opened[] = [];
  const opened = async (options: Parameters<typeof openForTest>[0]): Promise<Opened> => {
    const made = await openForTest(options);
    open.push(made);
    return made;
  };
  afterEach(() => {
    for (const { device } of open.splice(0)) device.dispose();
  });

  it("counts every dispatch, over several batches, and gives the numbers that come without it", async () => {
    const { device } = await opened({});
    const work = async (turns: number): Promise<number> => {
      using sum = device.scope(() => {
        let value = device.full([64], 0);
        const one = device.full([64], 1);
        for (let turn = 0; turn < turns; turn++) value = add(value, one);
        return value;
      });
      return (await sum.floats())[63] ?? Number.NaN;
    };
    // 600 additions and 2 fills are three batches of 256 at most.
    const { result, kernels, deviceSeconds } = await profileWebGpu(device, () => work(600));
    expect(result).toBe(600);
    const calls = kernels.map((row) => row.calls);
    expect(calls.reduce((sum, count) => sum + count, 0)).toBe(602);
    const adding = kernels.find((row) => row.calls === 600);
    // Two of 256 bytes are read and one is written.
    expect(adding?.bytes).toBe(600 * 3 * 256);
    expect(adding?.seconds).toBeGreaterThan(0);
    expect(deviceSeconds).toBeGreaterThanOrEqual(adding?.seconds ?? Number.NaN);
    // Again, and without a profile.
    expect((await profileWebGpu(device, () => work(1))).kernels).toHaveLength(2);
    expect(await work(3)).toBe(3);
    expectNoLeaks(device);
  });

  it("takes longer for 16,384 times the elements", async () => {
    const { device } = await opened({});
    const seconds = async (size: number): Promise<number> => {
      using x = device.full([size], 1);
      const { deviceSeconds } = await profileWebGpu(device, async () => {
        using sum = add(x, x);
        await sum.floats();
      });
      return deviceSeconds;
    };
    await seconds(64);
    const [small, large] = [await seconds(64), await seconds(1 << 20)];
    expect(large).toBeGreaterThan(small);
  });

  it("says that there is no clock", async () => {
    const { device } = await opened({ off: ["timestamps"] });
    await expect(profileWebGpu(device, () => expect.unreachable())).rejects.toMatchObject({
      code: "WEBGPU_NO_TIMESTAMPS",
    });
  });

  it("says that a profile is running, and hands on what the work throws", async () => {
    const { device } = await opened({});
    const nested = profileWebGpu(device, () => profileWebGpu(device, () => expect.unreachable()));
    await expect(nested).rejects.toMatchObject({ code: "PROFILE_RUNNING" });
    const fault = new RangeError("by the work");
    const failed = profileWebGpu(device, () => Promise.reject(fault));
    await expect(failed).rejects.toBe(fault);
    // It ended both times.
    expect((await profileWebGpu(device, () => 7)).result).toBe(7);
  });

  it("fails with the device's code when it is lost meanwhile", async () => {
    const { device, gpu } = await opened({});
    using x = device.full([16], 1);
    const lost = profileWebGpu(device, async () => {
      gpu.destroy();
      await gpu.lost;
      return x.floats();
    });
    await expect(lost).rejects.toMatchObject({ code: "DEVICE_LOST" });
  });
});
