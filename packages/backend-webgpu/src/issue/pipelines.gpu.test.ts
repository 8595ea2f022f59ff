/// <reference types="@webgpu/types" />
import { add, type Tensor } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterEach, describe, expect, it } from "vitest";
import { type Opened, openForTest, reasonToSkip } from "../test-support.ts";

registerMatchers(expect);
const exact = { rtol: 0, atol: 0 };
const skip = await reasonToSkip();

/** A device whose programs are compiled when the test says so, and how they were asked for. */
interface Held extends Opened {
  readonly asked: { background: string[]; inPlace: string[] };
  /** Lets the background compile, from now on. */
  go(): void;
}

describe.skipIf(skip !== null)("programs that are compiled in the background", () => {
  const open: Held[] = [];
  const opened = async (refuse: Error | null = null): Promise<Held> => {
    const made = await openForTest({});
    const { gpu } = made;
    const asked: Held["asked"] = { background: [], inPlace: [] };
    let go = (): void => undefined;
    const permitted = new Promise<void>((resolve) => (go = resolve));
    const background = gpu.createComputePipelineAsync.bind(gpu);
    gpu.createComputePipelineAsync = async (descriptor) => {
      asked.background.push(descriptor.label ?? "");
      await permitted;
      if (refuse !== null) throw refuse;
      return background(descriptor);
    };
    const inPlace = gpu.createComputePipeline.bind(gpu);
    gpu.createComputePipeline = (descriptor) => {
      asked.inPlace.push(descriptor.label ?? "");
      return inPlace(descriptor);
    };
    const held = { ...made, asked, go };
    open.push(held);
    return held;
  };
  afterEach(() => {
    for (const { device } of open.splice(0)) device.dispose();
  });

  it("hold commands, host writes and the end of buffers in their order, and compile each program once", async () => {
    const { device, asked, go } = await opened();
    const sums: Tensor[] = [];
    for (let step = 0; step < 20; step++) {
      // 16 MiB in use at a time, lent again while the sum waits; what is idle is destroyed above 64 MiB.
      const size = step % 3 === 0 ? 1 << 22 : 64 + step;
      const x = device.tensor(new Float32Array(size).fill(step), [size]);
      const twice = add(x, x);
      sums.push(twice.rows(0, 8));
      twice.dispose();
      x.dispose();
    }
    const read = Promise.all(sums.map((sum) => sum.floats()));
    const nothing = Symbol("nothing yet");
    const turn = new Promise((resolve) => setTimeout(() => resolve(nothing), 20));
    expect(await Promise.race([read, turn])).toBe(nothing);
    go();
    for (const [step, values] of (await read).entries())
      expect(values).toBeClose(new Array<number>(8).fill(2 * step), exact);
    expect(asked.background.length).toBeGreaterThan(0);
    expect(new Set(asked.background).size).toBe(asked.background.length);
    expect(asked.inPlace).toEqual([]);
    for (const sum of sums) sum.dispose();
    expectNoLeaks(device);
  });

  it("are compiled in place for a loop that never waits", async () => {
    const { device, asked } = await opened();
    const x = device.tensor(new Float32Array(16), [16]);
    // More than may wait.
    const turns = 16_700;
    for (let turn = 0; turn < turns; turn++) device.backend.kernels.affine(x.slice, 1, 1, x.slice);
    expect(asked.inPlace).toEqual(asked.background);
    expect(asked.inPlace).toHaveLength(1);
    expect(await x.floats()).toBeClose(new Array<number>(16).fill(turns), exact);
    x.dispose();
  });

  it("fail the read that waits, and all that comes, where the device refuses one", async () => {
    const { device, go } = await opened(new Error("no such type"));
    const x = device.full([16], 1);
    const read = x.floats();
    go();
    await expect(read).rejects.toThrow(
      expect.objectContaining({
        code: "WEBGPU_FAULT",
        message: expect.stringMatching(/refused the program .*no such type/),
      }),
    );
    expect(() => device.full([16], 1)).toThrow(expect.objectContaining({ code: "WEBGPU_FAULT" }));
    await expect(x.floats()).rejects.toThrow(expect.objectContaining({ code: "WEBGPU_FAULT" }));
  });

  it("end with the device, where it is disposed meanwhile", async () => {
    const { device, go } = await opened();
    const x = device.full([16], 1);
    const read = x.floats();
    device.dispose();
    await expect(read).rejects.toThrow(expect.objectContaining({ code: "DEVICE_DISPOSED" }));
    go();
  });

  it.each([true, false])(
    "end with the device, where it is lost meanwhile (held: %s)",
    async (held) => {
      const { device, gpu, go } = await opened();
      if (!held) go();
      const x = device.full([16], 1);
      const read = x.floats();
      gpu.destroy();
      await expect(read).rejects.toThrow(expect.objectContaining({ code: "DEVICE_LOST" }));
      go();
    },
  );
});
