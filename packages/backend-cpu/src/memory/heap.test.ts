import { DeviceError } from "@latentkit/core";
import { Device } from "@latentkit/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../backend.ts";
import { openCpuDevice } from "../open.ts";
import type { CpuStorage } from "./heap.ts";

describe("Heap", () => {
  it("counts live and peak bytes exactly", async () => {
    const backend = await createCpuBackend({ library: null });
    const { heap } = backend.runtime;
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.record({ allocate: fc.integer({ min: 0, max: 100_000 }) }),
            fc.record({ free: fc.nat() }),
          ),
        ),
        (program) => {
          const live: CpuStorage[] = [];
          const before = heap.memoryUse();
          let expected = before.liveBytes;
          let peak = before.peakBytes;
          for (const step of program) {
            if ("allocate" in step) {
              live.push(heap.allocate(step.allocate));
              expected += step.allocate;
              peak = Math.max(peak, expected);
            } else {
              const [storage] = live.length === 0 ? [] : live.splice(step.free % live.length, 1);
              if (storage !== undefined) {
                heap.free(storage);
                heap.free(storage);
                expected -= storage.byteLength;
              }
            }
            expect(heap.memoryUse()).toEqual({ liveBytes: expected, peakBytes: peak });
          }
          for (const storage of live) heap.free(storage);
          expect(heap.memoryUse().liveBytes).toBe(before.liveBytes);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("keeps every tensor's values while the memory grows", async () => {
    const backend = await createCpuBackend({ library: null });
    using device = new Device(backend);
    const before = backend.runtime.heap.buffer.byteLength;
    const tensors = Array.from({ length: 24 }, (_, index) => device.full([1 << 20], index + 0.5));
    expect(backend.runtime.heap.buffer.byteLength).toBeGreaterThan(before + 24 * 2 ** 22 - 1);
    for (const [index, tensor] of tensors.entries()) {
      const values = await tensor.floats();
      expect(values.every((value) => value === index + 0.5)).toBe(true);
    }
  });

  it("says what was asked, what is live and what there is when memory runs out, and goes on", async () => {
    using device = await openCpuDevice({ matmul: "wasm", memoryLimit: 8 * 2 ** 20 });
    const held = device.zeros([2 ** 20]);
    expect(() => device.zeros([2 ** 20])).toThrow(
      /4194304 bytes were asked for, 4194304 are in use, and the CPU device has 8388608/,
    );
    const fault = caught(() => device.zeros([2 ** 21]));
    expect(DeviceError.isInstance(fault) ? fault.code : fault).toBe("DEVICE_OUT_OF_MEMORY");
    held.dispose();
    const again = device.full([2 ** 20], 3);
    expect((await again.floats())[2 ** 20 - 1]).toBe(3);
    expect(device.memory()).toEqual({ liveBytes: 2 ** 22, peakBytes: 2 ** 22 });
  });

  it("frees scratch when a kernel throws", async () => {
    const { runtime } = await createCpuBackend({ library: null });
    expect(() => runtime.heap.withScratch(1000, () => fail())).toThrow("stop");
    expect(runtime.heap.memoryUse()).toEqual({ liveBytes: 0, peakBytes: 1000 });
  });

  it("refuses storages that are freed or another device's", async () => {
    const backend = await createCpuBackend({ library: null });
    const storage = backend.allocate(16);
    backend.free(storage);
    expect(() =>
      backend.write({ storage, offset: 0, length: 1, dtype: "u8" }, Uint8Array.of(1)),
    ).toThrow(/used after it was freed/);
    expect(() =>
      backend.write(
        { storage: { byteLength: 4 }, offset: 0, length: 1, dtype: "u8" },
        Uint8Array.of(1),
      ),
    ).toThrow(/another backend/);
    backend.dispose();
    expect(() => backend.allocate(4)).toThrow(/disposed/);
  });
});

function caught(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

function fail(): never {
  throw new RangeError("stop");
}
