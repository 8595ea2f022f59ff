import { Device, linear } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../backend.ts";
import { addressSpaceBytes } from "./heap.ts";

const mebibyte = 2 ** 20;

/** bf16 ones and zeros: row r has a one in column r. */
function identityBytes(size: number): Uint8Array {
  const halves = new Uint16Array(size * size);
  for (let row = 0; row < size; row++) halves[row * size + row] = 0x3f80;
  return new Uint8Array(halves.buffer);
}

describe("WeightArenas", () => {
  it("holds more than the 4 GiB of one memory, and computes with weights of each arena", async () => {
    const backend = await createCpuBackend({ library: null });
    using device = new Device(backend);
    const first = device.storedWeight(identityBytes(8), [8, 8], "bf16");
    // Pages that nobody writes take no memory.
    const blocks = [0, 1, 2].map(() => backend.allocateWeights(1_900 * mebibyte));
    const last = device.storedWeight(identityBytes(8), [8, 8], "bf16");
    expect(device.memory().liveBytes).toBeGreaterThan(addressSpaceBytes);
    const x = device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [8]);
    for (const weight of [first, last]) {
      const y = linear(x, weight);
      expect([...(await y.floats())]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      y.dispose();
    }
    for (const block of blocks) backend.free(block);
    for (const held of [x, first, last]) held.dispose();
    expect(device.memory().liveBytes).toBe(0);
  });

  it("spreads weights over arenas, on all threads, whether helpers run already or not", async () => {
    const arenaBytes = 6 * mebibyte;
    const backend = await createCpuBackend({ library: null, threads: 2, arenaBytes });
    using device = new Device(backend);
    const size = 700;
    const x = device.tensor(
      Float32Array.from({ length: size }, (_, at) => at - 350),
      [size],
    );
    // About a megabyte each: every one or two weights need an arena, and products are of several chunks.
    for (let round = 0; round < 5; round++) {
      const weight = device.storedWeight(identityBytes(size), [size, size], "bf16");
      const y = linear(x, weight);
      expect(await y.floats()).toEqual(await x.floats());
      y.dispose();
    }
    expect(backend.runtime.team.engine.arenas.length).toBeGreaterThan(1);
  });

  it("makes room for new weights where old ones were freed", async () => {
    const backend = await createCpuBackend({ library: null, arenaBytes: 8 * mebibyte });
    for (let round = 0; round < 20; round++) backend.free(backend.allocateWeights(2 * mebibyte));
    expect(backend.runtime.team.engine.arenas).toHaveLength(1);
    expect(backend.memory()).toEqual({ liveBytes: 0, peakBytes: 2 * mebibyte });
    backend.dispose();
  });

  it("refuses what is over its limit or larger than an arena, and stays usable", async () => {
    const backend = await createCpuBackend({
      library: null,
      weightLimit: 3 * mebibyte,
      arenaBytes: 6 * mebibyte,
    });
    const held = backend.allocateWeights(mebibyte);
    const full = expect.objectContaining({ code: "DEVICE_OUT_OF_MEMORY" });
    expect(() => backend.allocateWeights(2 * mebibyte + 1)).toThrow(full);
    expect(() => backend.allocateWeights(2 * mebibyte + 1)).toThrow(
      "holds 1048576 of weights, and it may hold 3145728",
    );
    backend.free(held);
    backend.dispose();
    const small = await createCpuBackend({ library: null, arenaBytes: 6 * mebibyte });
    expect(() => small.allocateWeights(6 * mebibyte)).toThrow(/one weight can have \d+ at most/);
    expect(small.memory().liveBytes).toBe(0);
    small.free(small.allocateWeights(1));
    small.dispose();
    expect(() => small.allocateWeights(1)).toThrow(/disposed device/);
  });

  it("refuses weights that were freed, and other storages", async () => {
    const backend = await createCpuBackend({ library: null });
    const storage = backend.allocateWeights(16);
    const tensor = backend.allocate(16);
    backend.free(storage);
    expect(() => backend.writeWeights(storage, 0, Uint8Array.of(1))).toThrow(/after it was freed/);
    expect(() => backend.writeWeights(tensor, 0, Uint8Array.of(1))).toThrow(/another backend/);
    backend.dispose();
  });
});

it("gives the same bits for any number of threads", async () => {
  const results = [];
  for (const threads of [1, 2, 3]) {
    const backend = await createCpuBackend({ library: null, threads });
    using device = new Device(backend);
    const bytes = Uint8Array.from(
      { length: 1_500 * 18 * 20 },
      (_, at) => (at * 37 + (at >> 7)) & 63,
    );
    const weight = device.storedWeight(bytes, [1_500, 576], "q4_1");
    const outputs = [];
    for (const rows of [1, 3, 9]) {
      const x = device.tensor(
        Float32Array.from({ length: rows * 576 }, (_, at) => Math.sin(at)),
        [rows, 576],
      );
      outputs.push(await linear(x, weight).floats());
    }
    results.push(outputs);
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});
