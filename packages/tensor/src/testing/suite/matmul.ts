/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { MatmulPlan } from "../../backend.ts";
import { permute } from "../../operators/layout.ts";
import { linear, matmul } from "../../operators/matmul.ts";
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
      k: fc.constantFrom(1, 8, 13),
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
      alpha: fc.constantFrom(1, 0.5),
      beta: fc.constantFrom(0, 1, -2),
    });
    await holds(
      input,
      ({ seed, batch, m, n, k, transposeA, transposeB, alpha, beta }) =>
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
