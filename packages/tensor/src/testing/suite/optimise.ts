/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { sumOfSquares, sum } from "../../operators/reduce.ts";
import { mul } from "../../operators/arithmetic.ts";
import { adamStep, normalizeRows, removeParallelRows, sgdStep } from "../../operators/optimise.ts";
import {
  agree,
  anySeed,
  anySize,
  exact,
  fewSize,
  holds,
  readAll,
  someSize,
  type Suite,
} from "./agree.ts";

export function optimiseSuite(suite: Suite): void {
  it("adamStep agrees with the reference over several steps", async () => {
    const input = fc.record({
      seed: anySeed,
      size: anySize,
      beta1: fc.constantFrom(0, 0.9),
      weightDecay: fc.constantFrom(0, 0.01),
      l2: fc.constantFrom(undefined, 0.1),
      scale: fc.constantFrom(null, 0.3),
    });
    await holds(input, ({ seed, size, beta1, weightDecay, l2, scale }) =>
      agree(suite, seed, { rtol: 1e-5, atol: 1e-6 }, (inputs) => {
        const parameter = inputs.normal([size]);
        const first = beta1 === 0 ? null : inputs.device.zeros([size]);
        const second = inputs.device.zeros([size]);
        const gradientScale = scale === null ? null : inputs.of([scale], [1]);
        for (let step = 1; step <= 4; step++) {
          adamStep(
            parameter,
            inputs.normal([size]),
            { first, second },
            { learningRate: 0.01, beta1, beta2: 0.99, epsilon: 1e-8, weightDecay, l2, step },
            { gradientScale },
          );
        }
        return first === null ? { parameter, second } : { parameter, first, second };
      }),
    );
  });

  it("sgdStep agrees with the reference over several steps", async () => {
    const input = fc.record({
      seed: anySeed,
      size: anySize,
      momentum: fc.constantFrom(0, 0.9),
      nesterov: fc.boolean(),
      l2: fc.constantFrom(0, 0.1),
      scale: fc.constantFrom(null, 0.3),
    });
    await holds(input, ({ seed, size, momentum, nesterov, l2, scale }) =>
      agree(suite, seed, { rtol: 1e-5, atol: 1e-6 }, (inputs) => {
        const parameter = inputs.normal([size]);
        const velocity = momentum === 0 ? null : inputs.device.zeros([size]);
        const gradientScale = scale === null ? null : inputs.of([scale], [1]);
        for (let step = 1; step <= 4; step++) {
          sgdStep(
            parameter,
            inputs.normal([size]),
            velocity,
            { learningRate: 0.1, momentum, nesterov, l2 },
            { gradientScale },
          );
        }
        return velocity === null ? { parameter } : { parameter, velocity };
      }),
    );
  });

  it("updates as if it were one when threads share it", async () => {
    const size = 70_001;
    await agree(suite, 74, { rtol: 1e-5, atol: 1e-6 }, (inputs) => {
      const parameter = inputs.normal([size]);
      const [first, second, velocity] = [
        inputs.device.zeros([size]),
        inputs.device.zeros([size]),
        inputs.device.zeros([size]),
      ];
      adamStep(
        parameter,
        inputs.normal([size]),
        { first, second },
        { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, step: 1 },
      );
      const gradient = inputs.normal([size]);
      const plan = { learningRate: 0.1, momentum: 0.9, nesterov: false, l2: 0 };
      sgdStep(parameter, gradient, velocity, plan);
      const rows = inputs.normal([1000, 67]);
      normalizeRows(rows);
      const part = inputs.normal([1000, 67]);
      removeParallelRows(part, rows);
      return { parameter, first, second, velocity, rows, part };
    });
  });

  it("with beta1 = 0 the first moment is not touched", async () => {
    const read = await readAll(suite.device, 70, (inputs) => {
      const [parameter, second, first] = [
        inputs.normal([9]),
        inputs.device.zeros([9]),
        inputs.device.full([9], 3),
      ];
      adamStep(
        parameter,
        inputs.normal([9]),
        { first, second },
        { learningRate: 0.01, beta1: 0, beta2: 0.99, epsilon: 1e-8, weightDecay: 0, step: 1 },
      );
      return { first };
    });
    expect(read.get("first")?.values).toBeClose(new Array<number>(9).fill(3), exact);
  });

  it("the first step of Adam moves by the learning rate against the gradient's sign", async () => {
    const read = await readAll(suite.device, 71, (inputs) => {
      const [parameter, second] = [inputs.device.zeros([3]), inputs.device.zeros([3])];
      adamStep(
        parameter,
        inputs.of([2, -0.5, 1e3], [3]),
        { first: null, second },
        { learningRate: 0.1, beta1: 0, beta2: 0.999, epsilon: 1e-12, weightDecay: 0, step: 1 },
      );
      return { parameter };
    });
    expect(read.get("parameter")?.values).toBeClose([-0.1, 0.1, -0.1], { rtol: 1e-4, atol: 0 });
  });

  it("normalizeRows agrees with the reference and leaves zero rows", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        columns: someSize,
        scale: fc.constantFrom(1e-3, 1, 1e3),
      }),
      ({ seed, rows, columns, scale }) =>
        agree(suite, seed, { rtol: 4e-6, atol: 1e-7 }, (inputs) => {
          const x = inputs.normal([rows, columns], scale);
          normalizeRows(x);
          return { x };
        }),
    );
    const read = await readAll(suite.device, 72, (inputs) => {
      const x = inputs.of([0, 0, 0, 3, 0, 4], [2, 3]);
      normalizeRows(x);
      return { x, squares: sumOfSquares(x, { axis: 1 }) };
    });
    expect(read.get("x")?.values).toBeClose([0, 0, 0, 0.6, 0, 0.8], { rtol: 1e-6, atol: 0 });
    expect(read.get("squares")?.values).toBeClose([0, 1], { rtol: 1e-6, atol: 0 });
  });

  it("removeParallelRows agrees with the reference and leaves rows orthogonal to the weight", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: fewSize, columns: someSize }),
      ({ seed, rows, columns }) =>
        agree(suite, seed, { rtol: 1e-5, atol: 4e-6 }, (inputs) => {
          const gradient = inputs.normal([rows, columns]);
          removeParallelRows(gradient, inputs.normal([rows, columns]));
          return { gradient };
        }),
    );
    const read = await readAll(suite.device, 73, (inputs) => {
      const [gradient, weight] = [inputs.normal([6, 67]), inputs.normal([6, 67])];
      removeParallelRows(gradient, weight);
      const kept = inputs.of([1, 2], [1, 2]);
      removeParallelRows(kept, inputs.device.zeros([1, 2]));
      return { dots: sum(mul(gradient, weight), { axis: 1 }), kept };
    });
    expect(read.get("dots")?.values).toBeClose(new Float32Array(6), { rtol: 0, atol: 2e-5 });
    expect(read.get("kept")?.values).toBeClose([1, 2], exact);
  });
}
