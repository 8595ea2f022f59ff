/* oxlint-disable vitest/expect-expect -- agree(), holds() and gradientsAgree() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import { findNonFinite } from "../../autograd/non-finite.ts";
import { add, mul } from "../../operators/arithmetic.ts";
import { linear } from "../../operators/matmul.ts";
import { sum } from "../../operators/reduce.ts";
import { encodeBatchTopK, encodeJumpRelu, encodeTopK } from "../../operators/sparse-encode.ts";
import { sparseEncode, type SparseActivation } from "../../operators/sparse-fused.ts";
import { jumpReluGradient } from "../../operators/sparse-gradients.ts";
import {
  sparseDecode,
  sparseDot,
  sparseGather,
  sparseOuterAdd,
  sparseRowSum,
  sparseToDense,
} from "../../operators/sparse-products.ts";
import { f32 } from "../../reference/storage.ts";
import type { SparseRows } from "../../sparse-rows.ts";
import type { Tensor } from "../../tensor.ts";
import {
  agree,
  anySeed,
  exact,
  holds,
  Inputs,
  readAll,
  sumTolerance,
  type Suite,
} from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

/** f32 against f64 with steps of 1e-4: sums of up to 70 terms. */
const close = { rtol: 2e-4, atol: 2e-4 };

/** A step of 1e-4 in an input moves a pre-activation by less. */
const kinkDistance = 1e-3;

const shapes = fc.record({
  seed: anySeed,
  rows: fc.constantFrom(1, 3, 6),
  width: fc.constantFrom(5, 17, 40),
  columns: fc.constantFrom(1, 7, 33),
});

/** The encoder of an activation, of pre-activations. */
function encode(pre: Tensor, activation: SparseActivation): SparseRows {
  if (activation.kind === "topK") return encodeTopK(pre, activation.k);
  if (activation.kind === "batchTopK") return encodeBatchTopK(pre, activation.k, activation);
  const { threshold, bandwidth = 0 } = activation.kind === "relu" ? { threshold: 0 } : activation;
  return encodeJumpRelu(pre, threshold, { bandwidth, capacity: activation.capacity }).rows;
}

const activations: readonly (readonly [string, SparseActivation])[] = [
  ["topK", { kind: "topK", k: 3 }],
  ["batchTopK", { kind: "batchTopK", k: 2.5 }],
  ["batchTopK with little room", { kind: "batchTopK", k: 3, capacity: 2 }],
  ["jumpRelu", { kind: "jumpRelu", threshold: 0.3 }],
  ["jumpRelu with a window", { kind: "jumpRelu", threshold: 0.3, bandwidth: 0.2, capacity: 5 }],
  ["relu", { kind: "relu" }],
];

/**
 * The first seed from `seed` on whose pre-activations are so far from where the activation jumps or bends that no step of a finite
 * difference gets there.
 */
function clearSeed(
  suite: Suite,
  seed: number,
  activation: SparseActivation,
  make: (inputs: Inputs) => Tensor,
): number {
  for (let candidate = seed; ; candidate++) {
    const clear = suite.wide.scope(() => {
      const pre = make(new Inputs(suite.wide, candidate));
      const width = pre.shape[1] ?? 1;
      const values = [...f32(pre.slice)];
      return (
        values.every((value) => Math.abs(value) > kinkDistance) &&
        cutDistance(values, width, activation) > kinkDistance
      );
    });
    if (clear) return candidate;
  }
}

/** How close the nearest element comes to changing sides. */
function cutDistance(
  values: readonly number[],
  width: number,
  activation: SparseActivation,
): number {
  const gap = (list: readonly number[], k: number): number => {
    const sorted = [...list].sort((x, y) => y - x);
    return (sorted[k - 1] ?? Infinity) - (sorted[k] ?? -Infinity);
  };
  if (activation.kind === "relu") return Infinity;
  if (activation.kind === "jumpRelu") {
    const limit = typeof activation.threshold === "number" ? activation.threshold : Number.NaN;
    return Math.min(...values.map((value) => Math.abs(value - limit)));
  }
  const rows = values.length / width;
  if (activation.kind === "batchTopK") return gap(values, Math.floor(rows * activation.k));
  return Math.min(
    ...Array.from({ length: rows }, (_, row) =>
      gap(values.slice(row * width, (row + 1) * width), activation.k),
    ),
  );
}

interface Parameters {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly decoder: Tensor;
}

function parameters(inputs: Inputs, rows: number, width: number, columns: number): Parameters {
  return {
    x: inputs.normal([rows, columns]),
    weight: inputs.normal([width, columns], 1 / Math.sqrt(columns)),
    bias: inputs.normal([width], 0.3),
    decoder: inputs.normal([width, columns]),
  };
}

/** Gradients of sparse operators on the tape. */
export function sparseAutogradSuite(suite: Suite): void {
  it.each(activations)("the gradient of an encoder, decoded: %s", async (_name, activation) => {
    await holds(
      shapes,
      ({ seed, rows, width, columns }) => {
        const own = clearSeed(suite, seed, activation, (inputs) => inputs.normal([rows, width]));
        return gradientsAgree(suite, own, close, (inputs) => {
          const pre = inputs.normal([rows, width]);
          const [decoder, bias] = [inputs.normal([width, columns]), inputs.normal([columns])];
          return {
            wrt: [pre, decoder, bias],
            forward: () => sparseDecode(encode(pre, activation), decoder, bias),
          };
        });
      },
      10,
    );
  });

  it("the gradients of sparseDot, sparseToDense, sparseGather and sparseRowSum", async () => {
    const activation = { kind: "topK", k: 3 } as const;
    await holds(
      shapes,
      async ({ seed, rows, width, columns }) => {
        const own = clearSeed(suite, seed, activation, (inputs) => inputs.normal([rows, width]));
        await gradientsAgree(suite, own, close, (inputs) => {
          const pre = inputs.normal([rows, width]);
          const [weight, x] = [inputs.normal([width, columns]), inputs.normal([rows, columns])];
          return {
            wrt: [pre, weight, x],
            // Each entry's value times its product with x.
            forward: () => {
              const encoded = encode(pre, activation);
              return mul(encoded.values, sparseDot(encoded, weight, x));
            },
          };
        });
        await gradientsAgree(suite, own, close, (inputs) => {
          const [pre, dense] = [inputs.normal([rows, width]), inputs.normal([rows, width])];
          return {
            wrt: [pre, dense],
            forward: () => {
              const encoded = encode(pre, activation);
              const gathered = mul(sparseGather(encoded, dense), encoded.values);
              const squares = sparseToDense(encoded.withValues(gathered));
              return add(sum(squares, { axis: 1 }), sparseRowSum(encoded));
            },
          };
        });
      },
      8,
    );
  });

  it("what lies beyond the counts is 0 while gradients are recorded", async () => {
    const read = await readAll(suite.device, 21, (inputs) => {
      const pre = inputs.normal([4, 23]);
      using tape = new Tape(inputs.device);
      tape.watch(pre);
      // An ordinary operator on the values, whose padding it sees.
      const loss = tape.run(() => {
        const { values } = encodeJumpRelu(pre, 0.4, { bandwidth: 0 }).rows;
        return sum(mul(values, values));
      });
      const [dPre] = tape.gradients(loss, [pre]);
      if (!dPre) throw new TypeError("a gradient was asked for");
      return { pre, dPre, loss };
    });
    const kept = (read.get("pre")?.values ?? new Float32Array()).map((x) => (x > 0.4 ? x : 0));
    expect(read.get("dPre")?.values).toBeClose(
      [...kept].map((value) => 2 * value),
      exact,
    );
    const squares = [...kept].reduce((total, value) => total + value * value, 0);
    expect(read.get("loss")?.values).toBeClose([squares], { rtol: 1e-6, atol: 0 });
  });

  it.each(activations)("the gradients of sparseEncode: %s", async (_name, activation) => {
    await holds(
      shapes,
      ({ seed, rows, width, columns }) => {
        const own = clearSeed(suite, seed, activation, (inputs) => {
          const { x, weight, bias } = parameters(inputs, rows, width, columns);
          return linear(x, weight, bias);
        });
        return gradientsAgree(suite, own, close, (inputs) => {
          const { x, weight, bias, decoder } = parameters(inputs, rows, width, columns);
          return {
            wrt: [x, weight, bias, decoder],
            forward: () =>
              sparseDecode(sparseEncode({ x, weight, bias, activation }).rows, decoder, null),
          };
        });
      },
      10,
    );
  });

  it.each(activations)(
    "sparseEncode is the encoder in two steps: %s",
    async (_name, activation) => {
      await holds(
        shapes,
        async ({ seed, rows, width, columns }) => {
          const run = (fused: boolean) =>
            readAll(suite.device, seed, (inputs) => {
              const { x, weight, bias, decoder } = parameters(inputs, rows, width, columns);
              using tape = new Tape(suite.device);
              for (const tensor of [x, weight, bias]) tape.watch(tensor);
              const { encoded, decoded } = tape.run(() => {
                const result = fused
                  ? sparseEncode({ x, weight, bias, activation }).rows
                  : encode(linear(x, weight, bias), activation);
                return { encoded: result, decoded: sparseDecode(result, decoder, null) };
              });
              const [dx, dWeight, dBias] = tape.gradients(
                decoded,
                [x, weight, bias],
                inputs.normal(decoded.shape),
              );
              if (!dx || !dWeight || !dBias) throw new TypeError("three gradients were asked for");
              return { encoded, decoded, dx, dWeight, dBias };
            });
          const [fused, apart] = [await run(true), await run(false)];
          for (const [name, { values }] of apart) {
            const tolerance =
              name.startsWith("encoded.") && name !== "encoded.values" ? exact : close;
            expect(fused.get(name)?.values ?? [], name).toBeClose(values, tolerance);
          }
        },
        6,
      );
    },
  );

  it("sparseEncode goes by blocks of rows that a wide encoder needs, without a bias", async () => {
    // 2^23 elements of pre-activations at a time: 16 rows of a width of 2^19 and more.
    const [rows, width] = [19, 2 ** 19 + 3];
    const read = await readAll(suite.device, 22, (inputs) => {
      const [x, weight] = [inputs.normal([rows, 2]), inputs.normal([width, 2])];
      const activation = { kind: "relu", capacity: 3 } as const;
      const fused = sparseEncode({ x, weight, activation });
      const apart = encode(linear(x, weight), activation);
      return { fused: fused.rows, apart };
    });
    for (const part of ["counts", "indices", "values"])
      expect(read.get(`fused.${part}`)).toEqual(read.get(`apart.${part}`));
  });

  it("JumpReLU's pseudo-gradients on the tape are those of jumpReluGradient", async () => {
    const [rows, width, bandwidth] = [33, 50, 0.3];
    for (const fused of [true, false]) {
      const read = await readAll(suite.device, 23, (inputs) => {
        const { x, weight, bias, decoder } = parameters(inputs, rows, width, 9);
        const threshold = inputs.uniform([width], 0.1, 0.6);
        const dDecoded = inputs.normal([rows, 9]);
        const dL0 = inputs.normal([rows]);
        using tape = new Tape(suite.device);
        for (const tensor of [x, weight, bias, threshold]) tape.watch(tensor);
        const activation = { kind: "jumpRelu", threshold, bandwidth } as const;
        const loss = tape.run(() => {
          const own = fused
            ? sparseEncode({ x, weight, bias, activation })
            : encodeJumpRelu(linear(x, weight, bias), threshold, { bandwidth });
          const decoded = sparseDecode(own.rows, decoder, null);
          return add(sum(mul(decoded, dDecoded)), sum(mul(own.l0, dL0)));
        });
        const [dWeight, dThreshold] = tape.gradients(loss, [weight, threshold]);
        const encoded = encodeJumpRelu(linear(x, weight, bias), threshold, { bandwidth });
        const [wanted, wantedWeight] = [
          suite.device.zeros([width]),
          suite.device.zeros([width, 9]),
        ];
        const dPre = jumpReluGradient({
          ...encoded,
          threshold,
          bandwidth,
          sparsity: 0,
          dL0,
          dValues: sparseDot(encoded.rows, decoder, dDecoded),
          dThreshold: wanted,
        });
        sparseOuterAdd(encoded.rows, dPre, x, wantedWeight);
        if (!dWeight || !dThreshold) throw new TypeError("two gradients were asked for");
        return { dWeight, dThreshold, wanted, wantedWeight };
      });
      const values = (name: string) => read.get(name)?.values ?? [];
      expect(values("dThreshold").some((value) => value !== 0)).toBe(true);
      expect(values("dThreshold")).toBeClose(values("wanted"), { rtol: 1e-5, atol: 1e-5 });
      expect(values("dWeight")).toBeClose(values("wantedWeight"), { rtol: 1e-5, atol: 1e-5 });
    }
  });

  it("the L0 alone has a gradient to the threshold, and the kept pre-activations theirs to pre", async () => {
    const read = await readAll(suite.device, 24, (inputs) => {
      const { device } = inputs;
      const threshold = device.full([4], 1);
      // Fires, inside; does not fire, inside; fires, outside; out of sight.
      const pre = inputs.of([1.125, 0.875, 3, -1], [1, 4]);
      using tape = new Tape(device);
      for (const tensor of [pre, threshold]) tape.watch(tensor);
      const loss = tape.run(() => {
        const { l0, preActivations } = encodeJumpRelu(pre, threshold, { bandwidth: 0.5 });
        return add(mul(sum(l0), 0.25), mul(sum(preActivations), 3));
      });
      const [dPre, dThreshold] = tape.gradients(loss, [pre, threshold]);
      if (!dPre || !dThreshold) throw new TypeError("two gradients were asked for");
      return { dPre, dThreshold };
    });
    expect(read.get("dPre")?.values).toBeClose([3, 3, 3, 0], exact);
    expect(read.get("dThreshold")?.values).toBeClose([-0.5, -0.5, 0, 0], exact);
  });

  it("an SAE's loss by sparse operators has nothing that is not finite", async () => {
    const { device } = suite;
    using x = device.tensor(new Float32Array(30).fill(0.5), [6, 5]);
    using weight = device.tensor(
      Float32Array.from({ length: 55 }, (_, i) => Math.sin(i)),
      [11, 5],
    );
    const report = await findNonFinite(
      (p: { x: Tensor; weight: Tensor }) => {
        const activation = { kind: "relu" } as const;
        const { rows } = sparseEncode({ ...p, activation });
        return sum(sparseDecode(rows, p.weight, null));
      },
      { x, weight },
    );
    expect(report).toBeNull();
  });

  it("in-place operators refuse what a gradient is recorded of", () => {
    const { device } = suite;
    device.scope(() => {
      const rows = encodeTopK(device.full([2, 3], 1), 2);
      const into = device.zeros([3, 4]);
      using tape = new Tape(device);
      tape.watch(into);
      expect(() =>
        tape.run(() => sparseOuterAdd(rows, rows.values, device.full([2, 4], 1), into)),
      ).toThrow(/AUTOGRAD_IN_PLACE|in place/);
    });
  });

  it("gradients of many entries agree with the reference", async () => {
    await agree(suite, 25, { rtol: 2e-4, atol: sumTolerance(400).atol }, (inputs) => {
      const { x, weight, bias, decoder } = parameters(inputs, 400, 90, 70);
      using tape = new Tape(inputs.device);
      for (const tensor of [x, weight, bias, decoder]) tape.watch(tensor);
      const activation = { kind: "batchTopK", k: 6 } as const;
      const decoded = tape.run(() =>
        sparseDecode(sparseEncode({ x, weight, bias, activation }).rows, decoder, null),
      );
      const [dx, dWeight, dBias, dDecoder] = tape.gradients(
        decoded,
        [x, weight, bias, decoder],
        inputs.normal([400, 70], 0.1),
      );
      if (!dx || !dWeight || !dBias || !dDecoder) throw new TypeError("four gradients");
      return { dx, dWeight, dBias, dDecoder };
    });
  });
}
