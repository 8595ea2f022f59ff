/* oxlint-disable vitest/expect-expect -- agree() and holds() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { jumpReluDense, jumpReluDenseGradient } from "../../operators/jump-relu-dense.ts";
import { addMatmul, matmul } from "../../operators/matmul.ts";
import { addInto } from "../../operators/arithmetic.ts";
import { encodeJumpRelu } from "../../operators/sparse-encode.ts";
import { jumpReluGradient } from "../../operators/sparse-gradients.ts";
import { sparseCountFiring, sparseToDense } from "../../operators/sparse-products.ts";
import {
  agree,
  anySeed,
  exact,
  fewSize,
  holds,
  readAll,
  someSize,
  sumTolerance,
  type Suite,
} from "./agree.ts";

export function jumpReluDenseSuite(suite: Suite): void {
  it("jumpReluDense and its gradient agree with the reference", async () => {
    const input = fc.record({
      seed: anySeed,
      rows: fewSize,
      width: someSize,
      bandwidth: fc.constantFrom(0.05, 0.3, 2),
    });
    await holds(input, ({ seed, rows, width, bandwidth }) =>
      agree(suite, seed, { rtol: 1e-5, atol: sumTolerance(rows).atol / bandwidth }, (inputs) => {
        const threshold = inputs.uniform([width], 0.2, 1.2);
        const pre = inputs.normal([rows, width]);
        const fired = inputs.device.zeros([width], "i32");
        const values = jumpReluDense(pre, threshold, fired);
        const dThreshold = inputs.normal([width]);
        const dValues = inputs.normal([rows, width]);
        jumpReluDenseGradient({ pre, threshold, bandwidth, sparsity: 0.7, dValues, dThreshold });
        return { values, fired, dValues, dThreshold };
      }),
    );
  });

  it("the dense and the sparse form of JumpReLU are one function", async () => {
    const [rows, width, bandwidth] = [5, 37, 0.4];
    const read = await readAll(suite.device, 11, (inputs) => {
      const threshold = inputs.uniform([width], 0.1, 0.8);
      const pre = inputs.normal([rows, width]);
      const dValues = inputs.normal([rows, width]);
      const fired = inputs.device.zeros([width], "i32");
      const dense = jumpReluDense(pre, threshold, fired);
      const encoded = encodeJumpRelu(pre, threshold, { bandwidth });
      const firedSparse = inputs.device.zeros([width], "i32");
      sparseCountFiring(encoded.rows, firedSparse);
      const dSparse = inputs.device.zeros([width]);
      // The sparse form wants the gradients of kept entries only; the threshold's does not depend on the others.
      const kept = inputs.device.full([rows, width], 1);
      jumpReluGradient({
        ...encoded,
        threshold,
        bandwidth,
        sparsity: 0.3,
        dValues: kept,
        dThreshold: dSparse,
      });
      const dDense = inputs.device.zeros([width]);
      const ones = inputs.device.full([rows, width], 1);
      jumpReluDenseGradient({
        pre,
        threshold,
        bandwidth,
        sparsity: 0.3,
        dValues: ones,
        dThreshold: dDense,
      });
      return {
        dense,
        sparse: sparseToDense(encoded.rows),
        fired,
        firedSparse,
        dDense,
        dSparse,
        dValues,
      };
    });
    const values = (name: string) => read.get(name)?.values ?? [];
    expect(values("dense")).toBeClose(values("sparse"), exact);
    expect(values("fired")).toBeClose(values("firedSparse"), exact);
    expect(values("dDense")).toBeClose(values("dSparse"), { rtol: 1e-6, atol: 1e-6 });
  });

  it("addMatmul adds what matmul gives", async () => {
    await holds(
      fc.record({ seed: anySeed, m: fewSize, n: fewSize, k: someSize }),
      ({ seed, m, n, k }) =>
        agree(suite, seed, sumTolerance(k), (inputs) => {
          const [a, b] = [inputs.normal([k, m]), inputs.normal([k, n])];
          const [fused, apart] = [inputs.device.full([m, n], 0.5), inputs.device.full([m, n], 0.5)];
          addMatmul(fused, a, b, { transposeA: true, alpha: 2 });
          addInto(apart, matmul(a, b, { transposeA: true, alpha: 2 }));
          return { fused, apart };
        }),
    );
  });
}
