/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import { fromBf16Bits } from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { clone, concat, convert, slice } from "../../operators/layout.ts";
import { matmul } from "../../operators/matmul.ts";
import { sum, sumOfSquares } from "../../operators/reduce.ts";
import {
  attention,
  crossEntropy,
  embedding,
  logSoftmax,
  rmsNorm,
  rmsNormWithScale,
  rope,
  ropeTables,
  softmax,
} from "../../operators/transformer.ts";
import type { Tolerance } from "../close.ts";
import {
  agree,
  anySeed,
  anySize,
  exact,
  fewSize,
  holds,
  readAll,
  rounded,
  someSize,
  sumTolerance,
  type Suite,
} from "./agree.ts";

/** Exponentials by polynomials, then sums of them. */
const softened: Tolerance = { rtol: 1e-5, atol: 1e-6 };

export function transformerSuite(suite: Suite): void {
  it("embedding agrees with the reference for tables of f32, f16 and bf16", async () => {
    await holds(
      fc.record({ seed: anySeed, columns: anySize, ids: fc.array(fewSize, { maxLength: 2 }) }),
      ({ seed, columns, ids }) =>
        agree(suite, seed, exact, (inputs) => {
          const table = inputs.normal([11, columns]);
          const picks = inputs.integers(ids, 11);
          return {
            f32: embedding(table, picks),
            f16: embedding(convert(table, "f16"), picks),
            bf16: embedding(convert(table, "bf16"), picks),
          };
        }),
    );
    const read = await readAll(suite.device, 40, (inputs) => ({
      out: embedding(
        inputs.device.fromBytes(
          new Uint8Array(Uint16Array.of(0x3f80, 0x4000, 0x7fc0, 0xff80).buffer),
          [4, 1],
          "bf16",
        ),
        inputs.of(Int32Array.of(3, 2, 1, 0), [4]),
      ),
    }));
    expect(read.get("out")?.values).toBeClose([fromBf16Bits(0xff80), Number.NaN, 2, 1], exact);
  });

  it("rmsNorm agrees with the reference, with and without weight and scale", async () => {
    await holds(
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
    );
  });

  it("rmsNorm gives rows of mean square 1", async () => {
    const read = await readAll(suite.device, 41, (inputs) => ({
      out: sumOfSquares(rmsNorm(inputs.normal([5, 67], 30), null, 0), { axis: 1 }),
    }));
    expect(read.get("out")?.values).toBeClose([67, 67, 67, 67, 67], { rtol: 1e-6, atol: 0 });
  });

  it("rope agrees with the reference", async () => {
    const input = fc.record({
      seed: anySeed,
      batch: fewSize,
      length: fewSize,
      heads: fc.constantFrom(1, 3),
      half: fc.constantFrom(1, 2, 3, 4, 8, 9, 32),
    });
    await holds(input, ({ seed, batch, length, heads, half }) =>
      agree(suite, seed, rounded, (inputs) => {
        const { cos, sin } = ropeTables({
          dRotary: half * 2,
          base: 10_000,
          positions: 50,
          device: inputs.device,
        });
        const x = inputs.normal([batch, length, heads, half * 2]);
        return { out: rope(x, cos, sin, inputs.integers([batch * length], 50)), x: clone(x) };
      }),
    );
  });

  it("rope keeps lengths, is the identity at position 0, and products depend on distance alone", async () => {
    const read = await readAll(suite.device, 42, (inputs) => {
      const { cos, sin } = ropeTables({
        dRotary: 16,
        base: 100,
        positions: 20,
        device: inputs.device,
      });
      const at = (position: number) => inputs.device.tensor(Int32Array.of(position), [1]);
      const [q, k] = [inputs.normal([1, 1, 1, 16]), inputs.normal([1, 1, 1, 16])];
      const score = (from: number, to: number) => {
        const [left, right] = [rope(q, cos, sin, at(from)), rope(k, cos, sin, at(to))];
        return matmul(left.reshape([1, 16]), right.reshape([1, 16]), { transposeB: true });
      };
      return {
        q: clone(q),
        identity: rope(q, cos, sin, at(0)),
        before: sumOfSquares(q),
        after: sumOfSquares(rope(q, cos, sin, at(13))),
        near: score(3, 1),
        far: score(19, 17),
      };
    });
    expect(read.get("identity")).toEqual(read.get("q"));
    expect(read.get("after")?.values).toBeClose(read.get("before")?.values ?? [], {
      rtol: 1e-6,
      atol: 0,
    });
    expect(read.get("far")?.values).toBeClose(read.get("near")?.values ?? [], {
      rtol: 0,
      atol: 5e-6,
    });
  });

  it("attention agrees with the reference: groups, caches with room, odd sizes", async () => {
    const input = fc.record({
      seed: anySeed,
      batch: fc.constantFrom(1, 2),
      qLength: fc.constantFrom(0, 1, 2, 5, 9, 33),
      past: fc.constantFrom(0, 1, 7, 40),
      room: fc.constantFrom(0, 3),
      kvHeads: fc.constantFrom(1, 3),
      group: fc.constantFrom(1, 2, 3),
      dHead: fc.constantFrom(1, 4, 6, 16, 64),
    });
    await holds(
      input,
      ({ seed, batch, qLength, past, room, kvHeads, group, dHead }) =>
        agree(suite, seed, softened, (inputs) => {
          const kLength = past + qLength;
          const q = inputs.normal([batch, qLength, kvHeads * group, dHead]);
          const k = inputs.normal([batch, kLength + room, kvHeads, dHead]);
          const v = inputs.normal([batch, kLength + room, kvHeads, dHead]);
          return { out: attention(q, k, v, { kLength, scale: 1 / Math.sqrt(dHead) }) };
        }),
      40,
    );
  });

  it("attention does not look ahead, nor beyond kLength", async () => {
    const read = await readAll(suite.device, 43, (inputs) => {
      const [q, k, v] = [
        inputs.normal([1, 4, 2, 8]),
        inputs.normal([1, 4, 2, 8]),
        inputs.normal([1, 4, 2, 8]),
      ];
      const poison = inputs.device.full([1, 1, 2, 8], Number.NaN);
      const cut = (x: typeof q) =>
        concat([slice(x, { axis: 1, start: 0, end: 3 }), poison], { axis: 1 });
      const whole = slice(attention(q, k, v, { scale: 0.3 }), { axis: 1, start: 0, end: 3 });
      const early = slice(q, { axis: 1, start: 0, end: 3 });
      return { whole, cut: attention(early, cut(k), cut(v), { kLength: 3, scale: 0.3 }) };
    });
    expect(read.get("cut")?.values).toBeClose(read.get("whole")?.values ?? [], rounded);
  });

  it("attention with large scores stays finite", async () => {
    await agree(suite, 44, { rtol: 1e-4, atol: 1e-4 }, (inputs) => ({
      out: attention(
        inputs.normal([1, 5, 1, 8], 30),
        inputs.normal([1, 5, 1, 8], 30),
        inputs.normal([1, 5, 1, 8]),
        { scale: 1 },
      ),
    }));
  });

  it("softmax and logSoftmax agree with the reference", async () => {
    await holds(
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
    );
  });

  it("softmax rows sum to 1, ignore shifts and masked entries, and may be written in place", async () => {
    const read = await readAll(suite.device, 45, (inputs) => {
      const x = inputs.normal([3, 130], 5);
      const masked = inputs.of([1, Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY], [1, 4]);
      const huge = inputs.of([3e38, 3e38], [1, 2]);
      const lost = inputs.of([0, Number.NaN, 1, 2, 3, 4], [2, 3]);
      const own = clone(x);
      inputs.device.backend.kernels.softmaxRows(own.slice, 3, 130, own.slice);
      return {
        sums: sum(softmax(x), { axis: 1 }),
        masked: softmax(masked),
        huge: softmax(huge),
        lost: softmax(lost),
        inPlace: own,
        apart: softmax(x),
      };
    });
    expect(read.get("sums")?.values).toBeClose([1, 1, 1], { rtol: 1e-6, atol: 0 });
    expect(read.get("masked")?.values).toBeClose([0.5, 0, 0.5, 0], exact);
    expect(read.get("huge")?.values).toBeClose([0.5, 0.5], exact);
    expect([...(read.get("lost")?.values ?? [])].map((value) => Number.isNaN(value))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(read.get("inPlace")?.values).toBeClose(read.get("apart")?.values ?? [], exact);
  });

  it("crossEntropy agrees with the reference; a negative target gives 0", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: fewSize, columns: someSize, scale: fc.constantFrom(1, 30) }),
      ({ seed, rows, columns, scale }) =>
        agree(suite, seed, { rtol: 1e-5, atol: 2e-6 * scale }, (inputs) => {
          const logits = inputs.normal([rows, columns], scale);
          const targets = Int32Array.from({ length: rows }, (_, row) =>
            row === 1 ? -100 : inputs.random.integer(columns),
          );
          return { out: crossEntropy(logits, inputs.of(targets, [rows])) };
        }),
    );
    const read = await readAll(suite.device, 46, (inputs) => ({
      out: crossEntropy(
        inputs.of(new Float32Array(2 * 7), [2, 7]),
        inputs.of(Int32Array.of(3, -1), [2]),
      ),
    }));
    expect(read.get("out")?.values).toBeClose([Math.log(7), 0], { rtol: 1e-6, atol: 0 });
  });

  it("a vocabulary's width agrees", async () => {
    await agree(suite, 47, sumTolerance(100), (inputs) => {
      const logits = inputs.normal([2, 4999], 4);
      return { softmax: softmax(logits), loss: crossEntropy(logits, inputs.integers([2], 4999)) };
    });
  });
}
