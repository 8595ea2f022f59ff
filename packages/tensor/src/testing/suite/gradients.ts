/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeJumpRelu } from "../../operators/sparse-encode.ts";
import { jumpReluGradient, reluGradient } from "../../operators/sparse-gradients.ts";
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
import { liveEntries } from "./sparse.ts";

export function gradientSuite(suite: Suite): void {
  it("reluGradient agrees with the reference", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        width: someSize,
        capacity: fc.constantFrom(1, 3, 8, 40),
      }),
      ({ seed, rows, width, capacity }) =>
        agree(suite, seed, exact, (inputs) => {
          const sparse = inputs.sparseRows(rows, width, capacity);
          return {
            dPre: liveEntries(sparse, reluGradient(sparse, inputs.normal([rows, capacity]))),
          };
        }),
    );
  });

  it("jumpReluGradient agrees with the reference", async () => {
    const input = fc.record({
      seed: anySeed,
      rows: fewSize,
      width: someSize,
      bandwidth: fc.constantFrom(0.05, 0.3, 2),
      room: fc.constantFrom(4, 1000),
    });
    await holds(
      input,
      ({ seed, rows, width, bandwidth, room }) =>
        agree(suite, seed, { rtol: 1e-5, atol: sumTolerance(rows).atol / bandwidth }, (inputs) => {
          const capacity = Math.min(room, width);
          const threshold = inputs.uniform([width], 0.2, 1.2);
          const encoded = encodeJumpRelu(inputs.normal([rows, width]), threshold, {
            bandwidth,
            capacity,
          });
          const dThreshold = inputs.normal([width]);
          const dPre = jumpReluGradient({
            ...encoded,
            threshold,
            bandwidth,
            sparsity: 0.7,
            dValues: inputs.normal([rows, capacity]),
            dThreshold,
          });
          return { dPre: liveEntries(encoded.rows, dPre), dThreshold };
        }),
      50,
    );
  });

  it("jumpReluGradient follows its formula on a few entries", async () => {
    const read = await readAll(suite.device, 60, (inputs) => {
      const threshold = inputs.device.full([4], 1);
      const encoded = encodeJumpRelu(inputs.of([1.125, 0.875, 3, 1], [1, 4]), threshold, {
        bandwidth: 0.5,
      });
      const dThreshold = inputs.device.zeros([4]);
      const dPre = jumpReluGradient({
        ...encoded,
        threshold,
        bandwidth: 0.5,
        sparsity: 0.25,
        dValues: inputs.of([1, 2, 4, 8], [1, 4]),
        dThreshold,
      });
      return { dPre, dThreshold };
    });
    // Fires, inside; does not fire, inside; fires, outside; at the threshold itself: does not fire, inside.
    expect(read.get("dPre")?.values).toBeClose([1, 0, 4, 0], exact);
    expect(read.get("dThreshold")?.values).toBeClose([-2.5, -4.5, 0, -16.5], exact);
  });
}
