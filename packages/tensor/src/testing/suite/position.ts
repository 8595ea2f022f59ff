/* oxlint-disable vitest/expect-expect -- agree(), gradientsAgree() and holds() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { clone } from "../../operators/layout.ts";
import { matmul } from "../../operators/matmul.ts";
import { rope } from "../../operators/position.ts";
import { sumOfSquares } from "../../operators/reduce.ts";
import { ropeTables } from "../../operators/rope-tables.ts";
import {
  agree,
  anySeed,
  exact,
  fewSize,
  holds,
  type Inputs,
  readAll,
  rounded,
  type Suite,
} from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

const shapes = fc.record({
  seed: anySeed,
  batch: fewSize,
  length: fewSize,
  heads: fc.constantFrom(1, 3),
  half: fc.constantFrom(1, 2, 3, 4, 8, 9, 32),
  /** Features that are not rotated. */
  rest: fc.constantFrom(0, 1, 5),
  interleaved: fc.boolean(),
});

/** Tables of 50 positions. */
function tablesOf(inputs: Inputs, dRotary: number) {
  return ropeTables({ dRotary, base: 10_000, positions: 50, device: inputs.device });
}

export function positionSuite(suite: Suite): void {
  it("rope agrees with the reference: partial, of neighbours, of halves", () =>
    holds(
      shapes,
      ({ seed, batch, length, heads, half, rest, interleaved }) =>
        agree(suite, seed, rounded, (inputs) => {
          const { cos, sin } = tablesOf(inputs, half * 2);
          const x = inputs.normal([batch, length, heads, half * 2 + rest]);
          const positions = inputs.integers([batch * length], 50);
          const options = { dRotary: half * 2, interleaved };
          return { out: rope(x, cos, sin, positions, options), x: clone(x) };
        }),
      40,
    ));

  it("rope agrees over many tokens, and in place", () =>
    agree(suite, 40, { rtol: 1e-6, atol: 1e-6 }, (inputs) => {
      const { cos, sin } = tablesOf(inputs, 48);
      const x = inputs.normal([3, 401, 5, 64]);
      const positions = inputs.integers([1203], 50);
      const out = rope(x, cos, sin, positions, { dRotary: 48 });
      const plan = { tokens: 1203, heads: 5, dHead: 64, dRotary: 48, positions: 50 };
      inputs.device.backend.kernels.rope(
        x.slice,
        cos.slice,
        sin.slice,
        positions.slice,
        { ...plan, interleaved: true, transposed: true },
        x.slice,
      );
      return { out, x };
    }));

  it("the gradient of rope equals differences", () =>
    holds(
      shapes,
      ({ seed, length, heads, half, rest, interleaved }) =>
        gradientsAgree(suite, seed, { rtol: 1e-6, atol: 1e-6 }, (inputs) => {
          const { cos, sin } = tablesOf(inputs, half * 2);
          const x = inputs.normal([2, length, heads, half * 2 + rest]);
          const positions = inputs.integers([2 * length], 50);
          const options = { dRotary: half * 2, interleaved };
          return { wrt: [x], forward: () => rope(x, cos, sin, positions, options) };
        }),
      12,
    ));

  it.each([false, true])(
    "keeps lengths, is the identity at position 0, and products depend on distance alone (interleaved: %s)",
    async (interleaved) => {
      const read = await readAll(suite.device, 42, (inputs) => {
        const { device } = inputs;
        const { cos, sin } = ropeTables({ dRotary: 16, base: 100, positions: 20, device });
        const at = (position: number) => device.tensor(Int32Array.of(position), [1]);
        const [q, k] = [inputs.normal([1, 1, 1, 16]), inputs.normal([1, 1, 1, 16])];
        const turned = (x: typeof q, position: number) =>
          rope(x, cos, sin, at(position), { interleaved });
        const score = (from: number, to: number) => {
          const [left, right] = [turned(q, from), turned(k, to)];
          return matmul(left.reshape([1, 16]), right.reshape([1, 16]), { transposeB: true });
        };
        return {
          q: clone(q),
          identity: turned(q, 0),
          before: sumOfSquares(q),
          after: sumOfSquares(turned(q, 13)),
          near: score(3, 1),
          far: score(19, 17),
        };
      });
      const values = (name: string) => read.get(name)?.values ?? [];
      expect(read.get("identity")).toEqual(read.get("q"));
      expect(values("after")).toBeClose(values("before"), { rtol: 1e-6, atol: 0 });
      expect(values("far")).toBeClose(values("near"), { rtol: 0, atol: 5e-6 });
    },
  );

  it("turns (1, 0) to the angle's cosine and sine, and back where transposed", async () => {
    const { device } = suite;
    const read = await readAll(device, 43, (inputs) => {
      const tables = ropeTables({ dRotary: 4, base: 100, positions: 4, device });
      const x = inputs.of([1, 0, 1, 0], [1, 1, 1, 4]);
      const at = inputs.of(Int32Array.of(3), [1]);
      const turned = rope(x, tables.cos, tables.sin, at, { interleaved: true });
      const back = clone(turned);
      const plan = { tokens: 1, heads: 1, dHead: 4, dRotary: 4, positions: 4 };
      device.backend.kernels.rope(
        turned.slice,
        tables.cos.slice,
        tables.sin.slice,
        at.slice,
        { ...plan, interleaved: true, transposed: true },
        back.slice,
      );
      return { turned, back };
    });
    expect(read.get("turned")?.values).toBeClose(
      [Math.cos(3), Math.sin(3), Math.cos(0.3), Math.sin(0.3)],
      rounded,
    );
    expect(read.get("back")?.values).toBeClose([1, 0, 1, 0], rounded);
  });

  it("a position that the tables do not have gives NaN in the rotated features of that token", async () => {
    const read = await readAll(suite.device, 44, (inputs) => {
      const { cos, sin } = ropeTables({
        dRotary: 2,
        base: 100,
        positions: 4,
        device: inputs.device,
      });
      const x = inputs.of([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 3, 1, 3]);
      const at = inputs.of(Int32Array.of(4, 0, -1), [3]);
      return { out: rope(x, cos, sin, at, { dRotary: 2 }) };
    });
    const lost = Number.NaN;
    expect(read.get("out")?.values).toBeClose([lost, lost, 3, 4, 5, 6, lost, lost, 9], exact);
  });
}
