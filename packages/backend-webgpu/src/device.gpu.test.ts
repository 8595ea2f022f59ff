import { embedding, matmul, normalizeRows, sum, type Tensor } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterEach, describe, expect, it } from "vitest";
import { describeWebGpu, openWebGpuDevice } from "./open.ts";
import { type Opened, openForTest, reasonToSkip } from "./test-support.ts";

registerMatchers(expect);
const exact = { rtol: 0, atol: 0 };
const skip = await reasonToSkip();

describe.skipIf(skip !== null)("a WebGPU device", () => {
  const open: Opened[] = [];
  const opened = async (options: Parameters<typeof openForTest>[0]): Promise<Opened> => {
    const made = await openForTest(options);
    open.push(made);
    return made;
  };
  afterEach(() => {
    for (const { device } of open.splice(0)) device.dispose();
  });

  it("says what it runs on", async () => {
    const description = await describeWebGpu();
    expect(description.adapter).not.toBe("");
    expect(description.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
    using device = await openWebGpuDevice();
    expect(device.info).toEqual({
      name: "webgpu",
      matmul: `wgsl (${description.adapter})`,
      threads: 1,
      build: "wgsl-1",
    });
  });

  it("reads tables of several bindings, and refuses more than there are", async () => {
    // Segments of 1,024 bytes: the table has 5, and with ids and output a kernel binds 7 of the 8 that there are.
    const { device } = await opened({ bindingBytes: 1024, limits: "default" });
    const table = Float32Array.from({ length: 5 * 256 }, (_, index) => index);
    const out = device.scope(() =>
      embedding(
        device.tensor(table, [80, 16]),
        device.tensor(Int32Array.of(79, 0, 15, 16, 47), [5]),
      ),
    );
    const wanted = [79, 0, 15, 16, 47].flatMap((row) => [
      ...table.subarray(row * 16, row * 16 + 16),
    ]);
    expect(await out.floats()).toBeClose(wanted, exact);
    out.dispose();
    device.scope(() => {
      const large = device.tensor(new Float32Array(9 * 256), [144, 16]);
      expect(() => embedding(large, device.tensor(Int32Array.of(1), [1]))).toThrow(
        expect.objectContaining({ code: "WEBGPU_BINDINGS" }),
      );
    });
    expectNoLeaks(device);
  });

  it("writes results of several bindings", async () => {
    const { device } = await opened({ bindingBytes: 512 });
    const values = Float32Array.from({ length: 400 }, (_, index) => index / 8);
    const doubled = device.scope(() => device.tensor(values, [400]));
    device.backend.kernels.affine(doubled.slice, 2, 1, doubled.slice);
    expect(await doubled.floats()).toBeClose(
      values.map((value) => 2 * value + 1),
      exact,
    );
    doubled.dispose();
  });

  it("runs more workgroups than one dimension has", async () => {
    const { device } = await opened({});
    const rows = 70_000;
    const x = device.full([rows, 1], -3);
    normalizeRows(x);
    const total = sum(x);
    expect(await total.item()).toBe(-rows);
    total.dispose();
    x.dispose();
  });

  it("takes views of one tensor as input and output, in place and beside each other", async () => {
    const { device } = await opened({});
    const x = device.tensor(
      Float32Array.from({ length: 300 }, (_, index) => index),
      [300],
    );
    const [low, high] = [x.rows(0, 100), x.rows(101, 201)];
    device.backend.kernels.binary("add", low.slice, [1], high.slice, [1], high.slice, [100]);
    const values = await x.floats();
    expect(values.subarray(101, 201)).toBeClose(
      Array.from({ length: 100 }, (_, index) => index + index + 101),
      exact,
    );
    expect([values[100], values[201]]).toEqual([100, 201]);
    for (const tensor of [low, high, x]) tensor.dispose();
  });

  it("writes and reads bytes that do not fill words, and leaves their neighbours", async () => {
    const { device } = await opened({});
    const bytes = device.tensor(new Uint8Array(11).fill(9), [11]);
    const part = bytes.rows(3, 8);
    device.backend.write(part.slice, Uint8Array.of(1, 2, 3, 4, 5));
    expect([...(await part.integers())]).toEqual([1, 2, 3, 4, 5]);
    expect([...(await bytes.integers())]).toEqual([9, 9, 9, 1, 2, 3, 4, 5, 9, 9, 9]);
    part.dispose();
    bytes.dispose();
  });

  it("host writes come after what was issued before, also into memory that was given back", async () => {
    const { device } = await opened({});
    const results: Tensor[] = [];
    for (let step = 0; step < 20; step++) {
      // The memory of the last step's input is lent again while its product may still wait.
      const x = device.tensor(new Float32Array(64).fill(step), [8, 8]);
      results.push(matmul(x, x));
      x.dispose();
    }
    for (const [step, result] of results.entries()) {
      expect(await result.floats()).toBeClose(new Array<number>(64).fill(8 * step * step), exact);
      result.dispose();
    }
    expectNoLeaks(device);
  });

  it("counts bytes as they were asked for, and refuses more than its limit", async () => {
    const { device } = await opened({ memoryLimit: 1000 });
    const x = device.tensor(new Uint8Array(701), [701]);
    expect(device.memory()).toEqual({ liveBytes: 701, peakBytes: 701 });
    expect(() => device.zeros([75])).toThrow(
      expect.objectContaining({ code: "DEVICE_OUT_OF_MEMORY" }),
    );
    expect(device.memory().liveBytes).toBe(701);
    x.dispose();
    expect(device.memory()).toEqual({ liveBytes: 0, peakBytes: 701 });
    const y = device.zeros([75]);
    expect(device.memory().liveBytes).toBe(300);
    y.dispose();
  });

  it("refuses a buffer that the adapter cannot have", async () => {
    const { device, gpu } = await opened({ limits: "default" });
    expect(() => device.empty([gpu.limits.maxBufferSize / 4 + 1])).toThrow(
      expect.objectContaining({ code: "DEVICE_OUT_OF_MEMORY" }),
    );
  });

  it("a device that is lost fails every later call with its code", async () => {
    const { device, gpu } = await opened({});
    const x = device.full([16], 1);
    expect(await x.floats()).toBeClose(new Array<number>(16).fill(1), exact);
    gpu.destroy();
    await gpu.lost;
    await expect(x.floats()).rejects.toThrow(expect.objectContaining({ code: "DEVICE_LOST" }));
    expect(() => device.full([16], 1)).toThrow(expect.objectContaining({ code: "DEVICE_LOST" }));
    expect(() => device.backend.kernels.fill(x.slice, 2)).toThrow(
      expect.objectContaining({ code: "DEVICE_LOST" }),
    );
  });

  it("a read that waits when the device is lost fails with its code", async () => {
    const { device, gpu } = await opened({});
    const x = device.full([16], 1);
    const values = x.floats();
    gpu.destroy();
    await expect(values).rejects.toThrow(expect.objectContaining({ code: "DEVICE_LOST" }));
  });

  it("commands that the device refuses fail the next read, not silently", async () => {
    const { device, gpu } = await opened({});
    const x = device.full([16], 1);
    gpu.createShaderModule({ code: "this is no program" });
    await gpu.queue.onSubmittedWorkDone();
    await expect(x.floats()).rejects.toThrow(expect.objectContaining({ code: "WEBGPU_FAULT" }));
    expect(() => device.full([16], 1)).toThrow(expect.objectContaining({ code: "WEBGPU_FAULT" }));
  });

  it("is disposed once, and takes no kernels afterwards", async () => {
    const { device } = await openForTest({});
    const x = device.full([4], 1);
    const { slice } = x;
    device.dispose();
    device.dispose();
    expect(() => device.backend.kernels.fill(slice, 2)).toThrow(
      expect.objectContaining({ code: "DEVICE_DISPOSED" }),
    );
  });

  it.each([0, -1, Number.NaN])("refuses a memory limit of %d", async (memoryLimit) => {
    await expect(openWebGpuDevice({ memoryLimit })).rejects.toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });
});
