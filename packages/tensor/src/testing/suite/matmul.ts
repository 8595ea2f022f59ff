/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Activation, MatmulPlan } from "../../backend.ts";
import { concat, permute } from "../../operators/layout.ts";
import type { Tensor } from "../../tensor.ts";
import { gelu, geluTanh, relu, silu } from "../../operators/unary.ts";
import { addMatmul, linear, matmul, outer } from "../../operators/matmul.ts";
import {
  agree,
  anySeed,
  anySize,
  exact,
  fewSize,
  holds,
  readAll,
  rounded,
  sumTolerance,
  type Suite,
  type Inputs,
} from "./agree.ts";

export function matmulSuite(suite: Suite): void {
  it("matmul agrees with the reference in all four transpositions", async () => {
    const input = fc.record({
      seed: anySeed,
      m: anySize,
      n: anySize,
      k: anySize,
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
      alpha: fc.constantFrom(1, -0.5),
    });
    await holds(
      input,
      ({ seed, m, n, k, transposeA, transposeB, alpha }) =>
        agree(suite, seed, sumTolerance(k), (inputs) => ({
          out: matmul(
            inputs.normal(transposeA ? [k, m] : [m, k]),
            inputs.normal(transposeB ? [n, k] : [k, n]),
            { transposeA, transposeB, alpha },
          ),
        })),
      60,
    );
  });

  it("batched products agree, with own or shared operands", async () => {
    const kinds = fc.constantFrom("both", "sharedA", "sharedB");
    const input = fc.record({
      seed: anySeed,
      batch: fc.tuple(fewSize, fewSize),
      m: anySize,
      n: anySize,
      k: fc.constantFrom(1, 5, 16),
      kind: kinds,
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
    });
    await holds(
      input,
      ({ seed, batch, m, n, k, kind, transposeA, transposeB }) =>
        agree(suite, seed, sumTolerance(k), (inputs) => {
          const [a, b] = [transposeA ? [k, m] : [m, k], transposeB ? [n, k] : [k, n]];
          return {
            out: matmul(
              inputs.normal(kind === "sharedA" ? a : [...batch, ...a]),
              inputs.normal(kind === "sharedB" ? b : [...batch, ...b]),
              { transposeA, transposeB },
            ),
          };
        }),
      40,
    );
  });

  it("leading axes broadcast as NumPy's", async () => {
    const axis = fc.record({ size: fewSize, kind: fc.constantFrom("both", "a", "b", "none") });
    const input = fc.record({
      seed: anySeed,
      axes: fc.array(axis, { maxLength: 3 }),
      dropA: fc.boolean(),
      dropB: fc.boolean(),
      m: fc.constantFrom(1, 2, 5),
      n: fc.constantFrom(1, 3, 9),
      k: fc.constantFrom(0, 1, 5, 16),
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
    });
    await holds(
      input,
      ({ seed, axes, dropA, dropB, m, n, k, transposeA, transposeB }) => {
        const leading = (name: "a" | "b", drop: boolean): number[] => {
          const own = axes.map(({ size, kind }) => (kind === "both" || kind === name ? size : 1));
          // A leading 1 may as well be missing.
          return drop && own[0] === 1 ? own.slice(1) : own;
        };
        return agree(suite, seed, sumTolerance(k), (inputs) => ({
          out: matmul(
            inputs.normal([...leading("a", dropA), ...(transposeA ? [k, m] : [m, k])]),
            inputs.normal([...leading("b", dropB), ...(transposeB ? [n, k] : [k, n])]),
            { transposeA, transposeB },
          ),
        }));
      },
      80,
    );
  });

  it("broadcasting equals repeating", async () => {
    const read = await readAll(suite.device, 40, (inputs) => {
      const [a, b] = [inputs.normal([2, 1, 5, 7]), inputs.normal([3, 7, 4])];
      const parts = [0, 1].flatMap((i) =>
        [0, 1, 2].map((j) =>
          matmul(a.rows(i, i + 1).reshape([5, 7]), b.rows(j, j + 1).reshape([7, 4])),
        ),
      );
      return { out: matmul(a, b), parts: concat(parts, { axis: 0 }).reshape([2, 3, 5, 4]) };
    });
    expect(read.get("out")?.values).toBeClose(read.get("parts")?.values ?? [], rounded);
  });

  it("vectors are rows on the left and columns on the right", async () => {
    await holds(
      fc.record({ seed: anySeed, m: anySize, n: anySize, k: anySize, batch: fewSize }),
      ({ seed, m, n, k, batch }) =>
        agree(suite, seed, sumTolerance(k), (inputs) => {
          const [x, y] = [inputs.normal([k]), inputs.normal([k])];
          const [a, b] = [inputs.normal([batch, m, k]), inputs.normal([batch, k, n])];
          return {
            dot: matmul(x, y),
            left: matmul(x, b),
            right: matmul(a, y),
            rows: matmul(x, inputs.normal([n, k]), { transposeB: true }),
            columns: matmul(inputs.normal([k, m]), y, { transposeA: true }),
            outer: outer(inputs.normal([m]), inputs.normal([n])),
            linear: linear(x, inputs.normal([n, k]), inputs.normal([n])),
          };
        }),
    );
  });

  it.each<[Activation | null, (x: Tensor) => Tensor]>([
    [null, (x) => x],
    ["gelu", gelu],
    ["geluTanh", geluTanh],
    ["relu", relu],
    ["silu", silu],
  ])("bias and activation follow the product: %s", async (activation, operator) => {
    await holds(
      fc.record({ seed: anySeed, m: anySize, n: anySize, k: anySize, batch: fewSize }),
      async ({ seed, m, n, k, batch }) => {
        const run = (inputs: Inputs): Record<string, Tensor> => {
          const [a, b, bias] = [
            inputs.normal([m, k]),
            inputs.normal([batch, k, n]),
            inputs.normal([n]),
          ];
          const x = inputs.normal([batch, m, k]);
          return {
            fused: matmul(a, b, { alpha: 0.5, bias, activation }),
            apart: operator(matmul(a, b, { alpha: 0.5, bias })),
            withoutBias: matmul(a, b, { activation }),
            linear: linear(x, inputs.normal([n, k]), bias, { activation }),
          };
        };
        // gelu and silu are at most 1.13 times as steep as their argument.
        const { rtol, atol } = sumTolerance(k);
        await agree(suite, seed, { rtol: rtol + 1e-6, atol: 1.5 * atol + 1e-6 }, run);
        const read = await readAll(suite.device, seed, run);
        expect(read.get("fused")).toEqual(read.get("apart"));
      },
      12,
    );
  });

  it("products that threads share agree", async () => {
    await agree(suite, 41, sumTolerance(260), (inputs) => ({
      square: matmul(inputs.normal([257, 260]), inputs.normal([260, 263])),
      tall: linear(inputs.normal([1031, 65]), inputs.normal([33, 65]), inputs.normal([33]), {
        activation: "relu",
      }),
      wide: matmul(inputs.normal([3, 70]), inputs.normal([4099, 70]), { transposeB: true }),
      row: linear(inputs.normal([1, 129]), inputs.normal([5003, 129]), inputs.normal([5003])),
      column: matmul(inputs.normal([5003, 129]), inputs.normal([129])),
      rowOfMatrix: matmul(inputs.normal([257]), inputs.normal([257, 2053])),
      transposedColumn: matmul(inputs.normal([257, 2053]), inputs.normal([257]), {
        transposeA: true,
      }),
      batch: matmul(inputs.normal([40, 33, 31]), inputs.normal([40, 31, 35])),
      gradient: matmul(inputs.normal([517, 66]), inputs.normal([517, 67]), { transposeA: true }),
    }));
  });

  it("addMatmul adds to what is there", async () => {
    await holds(
      fc.record({ seed: anySeed, m: anySize, n: anySize, k: anySize, batch: fewSize }),
      ({ seed, m, n, k, batch }) =>
        agree(suite, seed, sumTolerance(k + 1), (inputs) => {
          const out = inputs.normal([batch, m, n]);
          addMatmul(out, inputs.normal([m, k]), inputs.normal([batch, n, k]), {
            transposeB: true,
            alpha: -2,
          });
          return { out };
        }),
    );
  });

  it("products larger than any block agree", async () => {
    await agree(suite, 30, sumTolerance(301), (inputs) => ({
      out: matmul(inputs.normal([131, 301]), inputs.normal([301, 97])),
      linear: linear(inputs.normal([131, 301]), inputs.normal([97, 301]), inputs.normal([97])),
    }));
  });

  it("one row at a time, as generation does, agrees", async () => {
    await agree(suite, 31, sumTolerance(577), (inputs) => ({
      out: linear(inputs.normal([1, 577]), inputs.normal([203, 577])),
    }));
  });

  it("the identity matrix changes nothing", async () => {
    const read = await readAll(suite.device, 32, (inputs) => {
      const one = inputs.of(
        Float32Array.from({ length: 33 * 33 }, (_, index) => (index % 34 === 0 ? 1 : 0)),
        [33, 33],
      );
      const x = inputs.normal([33, 33]);
      return {
        x: permute(x, [0, 1]),
        left: matmul(one, x),
        right: matmul(x, one),
        twice: permute(matmul(one, x, { transposeB: true }), [1, 0]),
      };
    });
    for (const name of ["left", "right", "twice"]) expect(read.get(name)).toEqual(read.get("x"));
  });

  it("an inner size of 0 gives zeros", async () => {
    const read = await readAll(suite.device, 33, (inputs) => ({
      out: matmul(inputs.normal([3, 0]), inputs.normal([0, 5])),
      linear: linear(inputs.normal([2, 0]), inputs.normal([3, 0]), inputs.of([1, 2, 3], [3])),
    }));
    expect(read.get("out")?.values).toBeClose(new Float32Array(15), exact);
    expect(read.get("linear")?.values).toBeClose([1, 2, 3, 1, 2, 3], exact);
  });

  it("linear agrees with the reference, with and without bias", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        leading: fc.array(fewSize, { maxLength: 2 }),
        inSize: anySize,
        outSize: anySize,
        biased: fc.boolean(),
      }),
      (input) =>
        agree(suite, input.seed, sumTolerance(input.inSize), (inputs) => ({
          out: linear(
            inputs.normal([...input.leading, input.inSize]),
            inputs.normal([input.outSize, input.inSize]),
            input.biased ? inputs.normal([input.outSize]) : null,
          ),
        })),
    );
  });

  it("strides, beta and alpha do what the plan says, and nothing outside the matrix is written", async () => {
    const input = fc.record({
      seed: anySeed,
      batch: fc.constantFrom(1, 2, 3),
      m: fc.constantFrom(1, 5, 9),
      n: fc.constantFrom(1, 4, 11),
      k: fc.constantFrom(0, 1, 8, 13),
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
      alpha: fc.constantFrom(1, 0.5),
      beta: fc.constantFrom(0, 1, -2),
      biased: fc.boolean(),
      activation: fc.constantFrom(null, "relu", "silu"),
    });
    await holds(
      input,
      ({ seed, batch, m, n, k, transposeA, transposeB, alpha, beta, biased, activation }) =>
        agree(suite, seed, sumTolerance(k), (inputs) => {
          const [aRows, aColumns] = transposeA ? [k, m] : [m, k];
          const [bRows, bColumns] = transposeB ? [n, k] : [k, n];
          const plan: MatmulPlan = {
            batch,
            m,
            n,
            k,
            transposeA,
            transposeB,
            alpha,
            beta,
            rowStrideA: aColumns + 3,
            rowStrideB: bColumns + 1,
            rowStrideOut: n + 2,
            batchStrideA: aRows * (aColumns + 3) + 5,
            batchStrideB: bRows * (bColumns + 1),
            batchStrideOut: m * (n + 2) + 1,
            epilogue: { bias: biased ? inputs.normal([n]).slice : null, activation },
          };
          const a = inputs.normal([batch * plan.batchStrideA]);
          const b = inputs.normal([batch * plan.batchStrideB]);
          const out = inputs.normal([batch * plan.batchStrideOut]);
          inputs.device.backend.kernels.matmul(a.slice, b.slice, out.slice, plan);
          return { out };
        }),
      50,
    );
  });

  it("beta = 0 overwrites NaN", async () => {
    await agree(suite, 34, rounded, (inputs) => {
      const out = inputs.device.full([2, 2], Number.NaN);
      const one = {
        batch: 1,
        m: 2,
        n: 2,
        k: 2,
        transposeA: false,
        transposeB: false,
        rowStrideA: 2,
        rowStrideB: 2,
        rowStrideOut: 2,
        batchStrideA: 0,
        batchStrideB: 0,
        batchStrideOut: 0,
        alpha: 1,
        beta: 0,
      };
      inputs.device.backend.kernels.matmul(
        inputs.normal([2, 2]).slice,
        inputs.normal([2, 2]).slice,
        out.slice,
        one,
      );
      return { out };
    });
  });

  it("the same product twice gives the same bits", async () => {
    const read = await readAll(suite.device, 35, (inputs) => {
      const [a, b] = [inputs.normal([65, 130]), inputs.normal([130, 67])];
      return { first: matmul(a, b), second: matmul(a, b) };
    });
    expect(read.get("second")).toEqual(read.get("first"));
  });
}
