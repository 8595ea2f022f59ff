import { Random, type Shape, sizeOf } from "@latentkit/core";
import { attention, Device, Tape, type Tensor } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../backend.ts";
import { rememberedSurvey } from "../matmul/choose.ts";
import { reasonToSkipBlas } from "../test-support.ts";

interface Sizes {
  readonly qLength: number;
  readonly kLength: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly window: number | null;
}

/** Enough blocks, and keys enough for single queries, that every job is divided. */
const cases: readonly Sizes[] = [
  { qLength: 400, kLength: 400, heads: 6, kvHeads: 6, window: null },
  { qLength: 300, kLength: 700, heads: 6, kvHeads: 2, window: 290 },
  { qLength: 2, kLength: 3000, heads: 9, kvHeads: 3, window: null },
];

/** Output and gradients of one device. */
async function results(
  threads: number,
  provider: "blas" | "wasm",
  { qLength, kLength, heads, kvHeads, window }: Sizes,
): Promise<readonly Float32Array[]> {
  const { library } = provider === "blas" ? await rememberedSurvey() : { library: null };
  const device = new Device(await createCpuBackend({ library, threads }));
  try {
    const random = new Random(7);
    const normal = (shape: Shape): Tensor =>
      device.tensor(random.fillNormal(new Float32Array(sizeOf(shape)), 1), shape);
    const wrt = [
      normal([2, qLength, heads, 32]),
      normal([2, kLength, kvHeads, 32]),
      normal([2, kLength, kvHeads, 32]),
    ] as const;
    using tape = new Tape(device);
    for (const tensor of wrt) tape.watch(tensor);
    const out = tape.run(() => attention(...wrt, { scale: 0.2, window, softCap: 20 }));
    const gradients = tape.gradients(out, wrt, normal(out.shape));
    return await Promise.all([out, ...gradients].map((tensor) => tensor.floats()));
  } finally {
    device.dispose();
  }
}

/** Index of the first number whose bits differ, -1 for none. */
function firstDifference(a: Float32Array, b: Float32Array): number {
  const [left, right] = [a, b].map(
    ({ buffer, byteOffset, length }) => new Int32Array(buffer, byteOffset, length),
  );
  if (a.length !== b.length) return Math.min(a.length, b.length);
  return left?.findIndex((bits, index) => bits !== right?.[index]) ?? 0;
}

const skip = await reasonToSkipBlas();

describe("attention on several threads", () => {
  for (const provider of ["wasm", "blas"] as const) {
    it.skipIf(provider === "blas" && skip !== null).each(cases)(
      `has the bits of one thread, ${provider}: $qLength queries, $kLength keys, $heads/$kvHeads heads`,
      async (sizes) => {
        const alone = await results(1, provider, sizes);
        for (const threads of [2, 3]) {
          const others = await results(threads, provider, sizes);
          for (const [index, values] of others.entries())
            expect(firstDifference(values, alone[index] ?? new Float32Array())).toBe(-1);
        }
      },
    );
  }
});
