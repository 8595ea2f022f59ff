import { fromF16Bits, Random, toF16Bits } from "@latentkit/core";
import type { MatmulPlan } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Opened, openForTest, reasonToSkip } from "../../test-support.ts";
import type { Tuning, WebGpuBackend } from "../../tuner/tune.ts";
import { issueMatmulBy } from "../matmul.ts";
import { candidatesOf, type GemmPlan } from "./plan.ts";

registerMatchers(expect);
const skip = await reasonToSkip();

/** Sizes that no tile divides, an inner size that splits, strides longer than rows. */
const shape = { batch: 2, m: 37, n: 70, k: 1100 };

interface Case {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Where given, factors are rounded to it first, as f16 storage and tiles do. */
  readonly round: (value: number) => number;
}

/** The product in f64. */
function reference(a: Float32Array, b: Float32Array, plan: MatmulPlan, round: Case["round"]) {
  const out = new Float64Array(plan.batch * plan.m * plan.n);
  const sizes = new Float64Array(out.length);
  for (let entry = 0; entry < plan.batch; entry++)
    for (let i = 0; i < plan.m; i++)
      for (let j = 0; j < plan.n; j++) {
        let sum = 0;
        let size = 0;
        for (let c = 0; c < plan.k; c++) {
          const atA = plan.transposeA ? c * plan.rowStrideA + i : i * plan.rowStrideA + c;
          const atB = plan.transposeB ? j * plan.rowStrideB + c : c * plan.rowStrideB + j;
          const term =
            round(a[entry * plan.batchStrideA + atA] ?? 0) *
            round(b[entry * plan.batchStrideB + atB] ?? 0);
          sum += term;
          size += Math.abs(term);
        }
        out[(entry * plan.m + i) * plan.n + j] = sum;
        sizes[(entry * plan.m + i) * plan.n + j] = size;
      }
  return { out, largest: sizes.reduce((x, y) => Math.max(x, y), 0) };
}

/** The nearest half. */
const halfOf = (value: number): number => fromF16Bits(toF16Bits(value));

function planOf(sizes: typeof shape, { transposeA, transposeB }: Case): MatmulPlan {
  const { batch, m, n, k } = sizes;
  return {
    batch,
    m,
    n,
    k,
    transposeA,
    transposeB,
    alpha: 0.5,
    beta: 2,
    rowStrideA: (transposeA ? m : k) + 3,
    rowStrideB: (transposeB ? k : n) + 1,
    rowStrideOut: n + 2,
    batchStrideA: ((transposeA ? m : k) + 3) * (transposeA ? k : m),
    batchStrideB: ((transposeB ? k : n) + 1) * (transposeB ? n : k),
    batchStrideOut: (n + 2) * m,
  };
}

describe.skipIf(skip !== null)("every plan of a matrix product", () => {
  let opened: Opened;
  let tuning: Tuning;
  beforeAll(async () => {
    opened = await openForTest({ limits: "default" });
    ({ tuning } = opened.device.backend as WebGpuBackend);
  });
  afterAll(() => opened.device.dispose());

  /** Runs a plan over random factors and holds it to f64: rounding of sums of k terms, tails of rows untouched. */
  async function check(by: GemmPlan, sizes: typeof shape, test: Case): Promise<void> {
    const { device } = opened;
    const plan = planOf(sizes, test);
    const random = new Random(7);
    const values = (length: number): Float32Array<ArrayBuffer> => {
      const made = new Float32Array(length);
      random.fillNormal(made);
      return made;
    };
    const [a, b, bias] = [
      values(plan.batch * plan.batchStrideA),
      values(plan.batch * plan.batchStrideB),
      values(plan.n),
    ];
    const given = values(plan.batch * plan.batchStrideOut);
    const [tensorA, tensorB, tensorBias, out] = [
      device.tensor(a, [a.length]),
      device.tensor(b, [b.length]),
      device.tensor(bias, [bias.length]),
      device.tensor(given, [given.length]),
    ];
    issueMatmulBy(tuning.runtime, by, tensorA.slice, tensorB.slice, out.slice, {
      ...plan,
      epilogue: { bias: tensorBias.slice, activation: "relu" },
    });
    const found = await out.floats();
    for (const tensor of [tensorA, tensorB, tensorBias, out]) tensor.dispose();
    const { out: products, largest } = reference(a, b, plan, test.round);
    const wanted = Float64Array.from(given);
    for (const [index, product] of products.entries()) {
      const column = index % plan.n;
      const at = Math.floor(index / plan.n) * plan.rowStrideOut + column;
      wanted[at] = Math.max(0, 0.5 * product + 2 * (given[at] ?? 0) + (bias[column] ?? 0));
    }
    // Roundings of k sums of f32, at the size of the terms; in truth far fewer, as they do not all point one way.
    expect(found).toBeClose(wanted, { rtol: 2 ** -20, atol: largest * 2 ** -24 * 32 });
  }

  const exact = (value: number): number => value;
  const sides = [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const;

  const tile = (rows: number, columns: number, each: readonly [number, number], splits = 1) =>
    ({
      kind: "tiled",
      rows,
      columns,
      depth: 16,
      splits,
      factors: "f32",
      rowsEach: each[0],
      columnsEach: each[1],
    }) as const;

  it.each([
    [tile(16, 64, [4, 4]), sides[0]],
    [tile(32, 32, [4, 4], 4), sides[1]],
    [tile(128, 64, [8, 4]), sides[2]],
    [tile(64, 64, [8, 8]), sides[3]],
  ] as const)("in f32 agrees with f64: %j, transposed %j", async (by, [transposeA, transposeB]) => {
    const known = { ...shape, transposeA, transposeB, halves: false };
    expect(candidatesOf(known, tuning.features)).toContainEqual(by);
    await check(by, shape, { transposeA, transposeB, round: exact });
  });

  it.each([sides[0], sides[3]])(
    "of few rows agrees with f64, transposed %s and %s",
    async (transposeA, transposeB) => {
      await check(
        { kind: "few-rows" },
        { ...shape, m: 3 },
        { transposeA, transposeB, round: exact },
      );
    },
  );

  it("in f16 agrees with the f64 product of rounded factors: sums are f32", async () => {
    // Mesa's driver has it; an adapter without it has nothing to compare.
    if (!tuning.features.f16) return;
    const by = { ...tile(32, 32, [4, 4]), factors: "f16" } as const;
    const known = { ...shape, transposeA: false, transposeB: true, halves: true };
    expect(candidatesOf(known, tuning.features)).toContainEqual(by);
    await check(by, shape, { transposeA: false, transposeB: true, round: halfOf });
  });

  it("takes factors stored as f16, exactly", async () => {
    const { device } = opened;
    const [m, n, k] = [6, 5, 33];
    const random = new Random(3);
    const [a, b] = [m * k, n * k].map((length) =>
      random.fillNormal(new Float32Array(length)).map(halfOf),
    ) as [Float32Array<ArrayBuffer>, Float32Array<ArrayBuffer>];
    const [halvesA, halvesB] = [a, b].map((values) => {
      const stored = device.empty([values.length], "f16");
      const bits = Uint16Array.from(values, toF16Bits);
      device.backend.write(stored.slice, new Uint8Array(bits.buffer));
      return stored;
    }) as [ReturnType<typeof device.empty>, ReturnType<typeof device.empty>];
    const out = device.empty([m * n]);
    const plan: MatmulPlan = {
      batch: 1,
      m,
      n,
      k,
      transposeA: false,
      transposeB: true,
      alpha: 1,
      beta: 0,
      rowStrideA: k,
      rowStrideB: k,
      rowStrideOut: n,
      batchStrideA: 0,
      batchStrideB: 0,
      batchStrideOut: 0,
    };
    device.backend.kernels.matmul(halvesA.slice, halvesB.slice, out.slice, plan);
    const { out: wanted, largest } = reference(a, b, plan, exact);
    expect(await out.floats()).toBeClose(wanted, { rtol: 0, atol: largest * 2 ** -24 * 32 });
    for (const tensor of [halvesA, halvesB, out]) tensor.dispose();
  });
});
