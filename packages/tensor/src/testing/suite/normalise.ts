/* oxlint-disable vitest/expect-expect -- agree(), gradientsAgree() and holds() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { clone } from "../../operators/layout.ts";
import {
  layerNorm,
  layerNormWithScale,
  rmsNorm,
  rmsNormWithScale,
} from "../../operators/normalise.ts";
import { mean, sum, sumOfSquares } from "../../operators/reduce.ts";
import { logSoftmax, softmax } from "../../operators/softmax.ts";
import { add, mul } from "../../operators/arithmetic.ts";
import type { Tolerance } from "../close.ts";
import {
  agree,
  anySeed,
  exact,
  fewSize,
  holds,
  type Inputs,
  readAll,
  rounded,
  someSize,
  type Suite,
} from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

/** Sums of some hundred terms in f32, and f64 differences with a step of 1e-4. */
const slopes: Tolerance = { rtol: 2e-5, atol: 2e-5 };

/** Rows and columns that no tile or chunk divides, and enough of them that threads share the work. */
const large = [
  [67, 4999],
  [1030, 129],
] as const;

export function normaliseSuite(suite: Suite): void {
  it("rmsNorm agrees with the reference, with and without weight and scale", () =>
    holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        columns: someSize,
        magnitude: fc.constantFrom(1e-4, 1, 1e3),
      }),
      ({ seed, rows, columns, magnitude }) =>
        agree(suite, seed, { rtol: 4e-6, atol: 1e-7 }, (inputs) => {
          const x = inputs.normal([rows, columns], magnitude);
          return {
            plain: rmsNorm(x, null, 1e-5),
            weighted: rmsNorm(x, inputs.normal([columns]), 1e-5),
            ...rmsNormWithScale(x, 1e-6),
          };
        }),
    ));

  it("layerNorm agrees with the reference, with and without weight, bias and scale", () =>
    holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        columns: someSize,
        // Far from 0 the deviations have lost digits before the kernel saw them: their tolerance is absolute.
        centre: fc.constantFrom(0, 10),
      }),
      ({ seed, rows, columns, centre }) =>
        agree(suite, seed, { rtol: 1e-5, atol: 1e-5 * Math.max(1, centre) }, (inputs) => {
          const x = add(inputs.normal([rows, columns], 3), centre);
          const [weight, bias] = [inputs.normal([columns]), inputs.normal([columns])];
          return {
            plain: layerNorm(x, null, null, 1e-2),
            weighted: layerNorm(x, weight, null, 1e-2),
            biased: layerNorm(x, null, bias, 1e-2),
            both: layerNorm(x, weight, bias, 1e-2),
            ...layerNormWithScale(x, 1e-2),
          };
        }),
    ));

  it("norms give rows of mean 0 and mean square 1", async () => {
    const read = await readAll(suite.device, 41, (inputs) => {
      const x = add(inputs.normal([3, 67], 30), 5);
      const normal = layerNorm(x, null, null, 0);
      return {
        root: sumOfSquares(rmsNorm(x, null, 0), { axis: 1 }),
        mean: mean(normal, { axis: 1 }),
        square: sumOfSquares(normal, { axis: 1 }),
      };
    });
    expect(read.get("root")?.values).toBeClose([67, 67, 67], { rtol: 1e-6, atol: 0 });
    expect(read.get("mean")?.values).toBeClose([0, 0, 0], { rtol: 0, atol: 1e-6 });
    expect(read.get("square")?.values).toBeClose([67, 67, 67], { rtol: 1e-6, atol: 0 });
  });

  it("layerNorm of constant rows is the bias, and of NaN is NaN in that row alone", async () => {
    const read = await readAll(suite.device, 42, (inputs) => {
      const bias = inputs.of([1, 2, 3, 4, 5], [5]);
      const x = inputs.of([7, 7, 7, 7, 7, 1, Number.NaN, 2, 3, 4], [2, 5]);
      return { layer: layerNorm(x, null, bias, 1e-5), root: rmsNorm(x, null, 0) };
    });
    const lost = Array.from({ length: 5 }, () => Number.NaN);
    expect(read.get("layer")?.values).toBeClose([1, 2, 3, 4, 5, ...lost], rounded);
    expect(read.get("root")?.values).toBeClose([1, 1, 1, 1, 1, ...lost], rounded);
  });

  const shapes = fc.record({
    seed: anySeed,
    rows: fc.constantFrom(1, 2, 5, 33, 70),
    columns: fc.constantFrom(1, 2, 3, 4, 7, 9, 33),
    kind: fc.constantFrom("x", "weight", "bias", "all"),
  });

  it("gradients of rmsNorm and layerNorm equal differences", () =>
    holds(
      shapes,
      async ({ seed, rows, columns, kind }) => {
        const parts = (inputs: Inputs) => {
          const x = inputs.normal([rows, columns], 2);
          const [weight, bias] = [inputs.normal([columns]), inputs.normal([columns])];
          return { x, weight, bias };
        };
        const picks = ({ x, weight, bias }: ReturnType<typeof parts>, root: boolean) =>
          kind === "all"
            ? root
              ? [x, weight]
              : [x, weight, bias]
            : kind === "weight" || (root && kind === "bias")
              ? [weight]
              : kind === "bias"
                ? [bias]
                : [x];
        await gradientsAgree(suite, seed, sumsOf(rows), (inputs) => {
          const all = parts(inputs);
          return {
            wrt: picks(all, true),
            forward: () => rmsNorm(all.x, all.weight, 0.1),
          };
        });
        await gradientsAgree(suite, seed, sumsOf(rows), (inputs) => {
          const all = parts(inputs);
          return {
            wrt: picks(all, false),
            forward: () => layerNorm(all.x, all.weight, all.bias, 0.1),
          };
        });
      },
      12,
    ));

  it("gradients of norms without weight or bias, and of their two halves, equal differences", async () => {
    const x = (inputs: Inputs) => inputs.normal([3, 5, 7], 2);
    await gradientsAgree(suite, 3, slopes, (inputs) => {
      const at = x(inputs);
      return { wrt: [at], forward: () => rmsNorm(at, null, 0.1) };
    });
    await gradientsAgree(suite, 4, slopes, (inputs) => {
      const [at, bias] = [x(inputs), inputs.normal([7])];
      return { wrt: [at, bias], forward: () => layerNorm(at, null, bias, 0.1) };
    });
    await gradientsAgree(suite, 5, slopes, (inputs) => {
      const [at, weight] = [x(inputs), inputs.normal([7])];
      return { wrt: [at, weight], forward: () => layerNorm(at, weight, null, 0.1) };
    });
    for (const [seed, halves] of [
      [6, rmsNormWithScale],
      [7, layerNormWithScale],
    ] as const) {
      await gradientsAgree(suite, seed, slopes, (inputs) => {
        const at = x(inputs);
        return {
          wrt: [at],
          forward: () => {
            const { normalized, scale } = halves(at, 0.1);
            return mul(normalized, scale);
          },
        };
      });
      for (const half of ["normalized", "scale"] as const) {
        await gradientsAgree(suite, seed, slopes, (inputs) => {
          const at = x(inputs);
          return { wrt: [at], forward: () => halves(at, 0.1)[half] };
        });
      }
    }
  });

  it.each(large)("norms, softmax and their gradient kernels agree over %i x %i", (rows, columns) =>
    agree(suite, 50, { rtol: 1e-4, atol: 1e-4 }, (inputs) => {
      const { device } = inputs;
      const [x, gradient] = [inputs.normal([rows, columns]), inputs.normal([rows, columns])];
      const [weight, bias] = [inputs.normal([columns]), inputs.normal([columns])];
      const [statistics, dX] = [layerNormWithScale(x, 0.1), device.empty([rows, columns])];
      const [dWeight, dBias] = [device.empty([columns]), device.empty([columns])];
      const [centre, y] = [mean(x, { axis: 1 }), softmax(x)];
      const logY = logSoftmax(x);
      const { kernels } = device.backend;
      kernels.normGradient(
        {
          rows,
          columns,
          x: x.slice,
          mean: centre.slice,
          scale: statistics.scale.slice,
          weight: weight.slice,
          gradient: gradient.slice,
          scaleGradient: null,
        },
        dX.slice,
        dWeight.slice,
        dBias.slice,
      );
      const [soft, logSoft] = [clone(gradient), clone(gradient)];
      kernels.softmaxGradientRows(y.slice, soft.slice, rows, columns, soft.slice);
      kernels.logSoftmaxGradientRows(logY.slice, logSoft.slice, rows, columns, logSoft.slice);
      return {
        rms: rmsNorm(x, weight, 0.1),
        layer: layerNorm(x, weight, bias, 0.1),
        ...statistics,
        dX,
        dWeight,
        dBias,
        y,
        logY,
        soft,
        logSoft,
      };
    }),
  );

  it("gives the same bits twice, weight gradients among them", async () => {
    const run = (inputs: Inputs) => {
      const { device } = inputs;
      const [x, gradient] = [inputs.normal([515, 260]), inputs.normal([515, 260])];
      const [dX, dWeight] = [device.empty([515, 260]), device.empty([260])];
      const { scale } = rmsNormWithScale(x, 0.1);
      const plan = { rows: 515, columns: 260, x: x.slice, mean: null, scale: scale.slice };
      device.backend.kernels.normGradient(
        { ...plan, weight: null, gradient: gradient.slice, scaleGradient: null },
        dX.slice,
        dWeight.slice,
        null,
      );
      return { dX, dWeight, softmax: softmax(x) };
    };
    const [first, second] = [
      await readAll(suite.device, 51, run),
      await readAll(suite.device, 51, run),
    ];
    for (const [name, { values }] of first)
      expect(second.get(name)?.values).toBeClose(values, exact);
  });

  it("softmax and logSoftmax agree with the reference", () =>
    holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        columns: someSize,
        scale: fc.constantFrom(0.1, 3, 50),
      }),
      ({ seed, rows, columns, scale }) =>
        agree(suite, seed, { rtol: 1e-5, atol: 2e-6 * Math.max(1, scale) }, (inputs) => {
          const x = inputs.normal([rows, columns], scale);
          return { softmax: softmax(x), logSoftmax: logSoftmax(x) };
        }),
    ));

  it("softmax keeps its relative accuracy far below the maximum", () =>
    // x - maximum is rounded to f32: 87 * 2^-24, and an ulp or two of the exponential.
    agree(suite, 52, { rtol: 6e-6, atol: 1e-37 }, (inputs) => ({
      out: softmax(inputs.uniform([4, 1000], -87, 0)),
    })));

  it("softmax rows sum to 1, ignore shifts and masked entries, and may be written in place", async () => {
    const { NaN: lost, NEGATIVE_INFINITY: low, POSITIVE_INFINITY: high } = Number;
    const read = await readAll(suite.device, 45, (inputs) => {
      const x = inputs.normal([3, 130], 5);
      const masked = inputs.of([1, low, 1, low], [1, 4]);
      const huge = inputs.of([3e38, 3e38, -3e38], [1, 3]);
      const odd = inputs.of([0, lost, 1, 2, 3, 4, low, low, low, high, 1, 2], [4, 3]);
      const own = clone(x);
      inputs.device.backend.kernels.softmaxRows(own.slice, 3, 130, own.slice);
      return {
        sums: sum(softmax(x), { axis: 1 }),
        masked: softmax(masked),
        huge: softmax(huge),
        odd: softmax(odd),
        oddLog: logSoftmax(odd),
        maskedLog: logSoftmax(masked),
        inPlace: own,
        apart: softmax(x),
      };
    });
    expect(read.get("sums")?.values).toBeClose([1, 1, 1], { rtol: 1e-6, atol: 0 });
    expect(read.get("masked")?.values).toBeClose([0.5, 0, 0.5, 0], exact);
    expect(read.get("maskedLog")?.values).toBeClose([-Math.LN2, low, -Math.LN2, low], rounded);
    expect(read.get("huge")?.values).toBeClose([0.5, 0.5, 0], exact);
    for (const name of ["odd", "oddLog"])
      expect([...(read.get(name)?.values ?? [])].map((value) => Number.isNaN(value))).toEqual([
        true,
        true,
        true,
        false,
        false,
        false,
        true,
        true,
        true,
        true,
        true,
        true,
      ]);
    expect(read.get("inPlace")?.values).toBeClose(read.get("apart")?.values ?? [], exact);
  });

  it("gradients of softmax and logSoftmax equal differences, along any axis", async () => {
    for (const operator of [softmax, logSoftmax]) {
      await holds(
        fc.record({ seed: anySeed, columns: fc.constantFrom(1, 2, 5, 9, 33) }),
        ({ seed, columns }) =>
          gradientsAgree(suite, seed, slopes, (inputs) => {
            const x = inputs.normal([3, columns]);
            return { wrt: [x], forward: () => operator(x) };
          }),
        6,
      );
      for (const axis of [0, 1, -2]) {
        await gradientsAgree(suite, 8, slopes, (inputs) => {
          const x = inputs.normal([3, 4, 5]);
          return { wrt: [x], forward: () => operator(x, { axis }) };
        });
      }
    }
  });

  it("softmax along an axis sums to 1 along it", async () => {
    const read = await readAll(suite.device, 46, (inputs) => {
      const y = softmax(inputs.normal([3, 4, 5]), { axis: 1 });
      return { sums: sum(y, { axis: 1 }), y };
    });
    expect(read.get("y")?.shape).toEqual([3, 4, 5]);
    expect(read.get("sums")?.values).toBeClose(new Float32Array(15).fill(1), rounded);
  });
}

/** The weight's gradient is a sum over rows. */
function sumsOf(rows: number): Tolerance {
  return { rtol: 2e-5, atol: 2e-5 * Math.sqrt(rows) };
}
