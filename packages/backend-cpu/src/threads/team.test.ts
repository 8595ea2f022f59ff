import { afterEach, describe, expect, it } from "vitest";
import { type CpuBackend, createCpuBackend } from "../backend.ts";
import { rememberedSurvey } from "../matmul/choose.ts";
import { gatedActivations } from "../tasks/elementwise.ts";
import { reserveMemory } from "../wasm/instance.ts";

/** `silu(gate) * up`: the task that stands for all. */
const silu = gatedActivations.indexOf("silu");

const opened: CpuBackend[] = [];
async function open(threads: number, useLibrary = false): Promise<CpuBackend> {
  const { library } = useLibrary ? await rememberedSurvey() : { library: null };
  const backend = await createCpuBackend({ library, threads });
  opened.push(backend);
  return backend;
}
afterEach(() => {
  for (const backend of opened.splice(0)) backend.dispose();
});

/** Room for numbers, filled by `value`. */
function place(
  { runtime: { heap } }: CpuBackend,
  length: number,
  value: (i: number) => number,
): number {
  const { address } = heap.allocate(length * 4);
  new Float32Array(heap.buffer, address, length).set(
    Float32Array.from({ length }, (_, i) => value(i)),
  );
  return address;
}

function read({ runtime: { heap } }: CpuBackend, address: number, length: number): Float32Array {
  return new Float32Array(heap.buffer, address, length).slice();
}

function sameBits(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
}

/** Helpers need a moment to start; until then the caller does all the work. */
async function warmUp({ runtime: { team, heap } }: CpuBackend): Promise<void> {
  const { address } = heap.allocate(64 * 4);
  const job = { count: 64, grain: 1 };
  for (let round = 0; round < 20; round++) {
    team.run("gatedMul", [silu, address, address, address], job);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("the team of threads", () => {
  it.each([1, 2, 3])(
    "gives the same bits with %i threads, whoever takes which chunk",
    async (threads) => {
      const length = 100_003;
      const [alone, together] = [await open(1), await open(threads)];
      await warmUp(together);
      const results: Float32Array[] = [];
      for (const backend of [alone, together]) {
        const gate = place(backend, length, (i) => Math.sin(i) * 5);
        const up = place(backend, length, (i) => Math.cos(i) * 3);
        const out = place(backend, length, () => Number.NaN);
        // Chunks from one element to more than there are, several times each: the division must not show.
        for (const grain of [97, 1024, 32_768, 200_000, 97]) {
          backend.runtime.team.run("gatedMul", [silu, gate, up, out], { count: length, grain });
          results.push(read(backend, out, length));
        }
      }
      for (const result of results) expect(sameBits(result, results[0])).toBe(true);
    },
  );

  it("keeps thousands of jobs in a row apart", async () => {
    const backend = await open(2);
    await warmUp(backend);
    const { team } = backend.runtime;
    const length = 256;
    const ones = place(backend, length, () => 20); // silu(20) = 20 to f32
    const out = place(backend, length, () => 0);
    for (let job = 1; job <= 5000; job++) {
      const up = new Float32Array(backend.runtime.heap.buffer, ones, length);
      up.fill(20);
      up[job % length] = 30;
      team.run("gatedMul", [silu, ones, ones, out], { count: length, grain: 16 });
      const seen = new Float32Array(backend.runtime.heap.buffer, out, length);
      expect(seen[job % length]).toBeCloseTo(900, 3);
      expect(seen[(job + 1) % length]).toBeCloseTo(400, 3);
    }
  });

  it("multiplies the same with one thread and two, with and without a library", async () => {
    for (const useLibrary of [false, true]) {
      const results: Float32Array[] = [];
      for (const threads of [1, 2]) {
        const backend = await open(threads, useLibrary);
        await warmUp(backend);
        const [m, n, k] = [261, 387, 190];
        const a = place(backend, m * k, (i) => Math.sin(i));
        const b = place(backend, n * k, (i) => Math.cos(i));
        const out = place(backend, m * n, () => Number.NaN);
        backend.runtime.gemm.sgemm({
          transposeA: false,
          transposeB: true,
          m,
          n,
          k,
          alpha: 1,
          beta: 0,
          a,
          strideA: k,
          b,
          strideB: k,
          out,
          strideOut: n,
        });
        results.push(read(backend, out, m * n));
      }
      expect(sameBits(results[1], results[0])).toBe(true);
    }
  });

  it("sees memory that grew while helpers were running", async () => {
    const backend = await open(2);
    await warmUp(backend);
    const length = 40 * 1024 * 1024;
    const { address } = backend.runtime.heap.allocate(length * 4);
    new Float32Array(backend.runtime.heap.buffer, address, length).fill(20);
    backend.runtime.team.run("gatedMul", [silu, address, address, address], {
      count: length,
      grain: 65_536,
    });
    const values = new Float32Array(backend.runtime.heap.buffer, address, length);
    expect(values.every((value) => Math.abs(value - 400) < 1e-3)).toBe(true);
  });

  it("gives every thread another memory", async () => {
    const backend = await open(2);
    await warmUp(backend);
    const { team } = backend.runtime;
    expect(team.attach(reserveMemory(true))).toBe(0);
    expect(team.attach(reserveMemory(true))).toBe(1);
    expect(team.engine.arenas).toHaveLength(2);
    await warmUp(backend); // helpers take them between two jobs, and go on
  });

  it("turns a kernel that traps into a typed error, and goes on", async () => {
    const backend = await open(2);
    const { team } = backend.runtime;
    const outside = 2 ** 31; // the memory has not grown that far
    const job = { count: 4096, grain: 64 };
    expect(() => team.run("gatedMul", [silu, outside, outside, outside], job)).toThrow(
      /kernel stopped/,
    );
    const fine = place(backend, 4096, () => 20);
    team.run("gatedMul", [silu, fine, fine, fine], job);
    expect(read(backend, fine, 1)[0]).toBeCloseTo(400, 3);
  });
});
