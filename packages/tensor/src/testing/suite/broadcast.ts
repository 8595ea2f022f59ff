/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { add, addInto, div, maximum, minimum, mul, sub } from "../../operators/arithmetic.ts";
import {
  countNonFinite,
  equal,
  greater,
  greaterEqual,
  isFinite,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  notEqual,
  where,
} from "../../operators/compare.ts";
import type { Tensor } from "../../tensor.ts";
import {
  agree,
  anySeed,
  anySize,
  exact,
  fewSize,
  holds,
  readAll,
  rounded,
  type Suite,
} from "./agree.ts";

type Binary = (a: Tensor | number, b: Tensor | number) => Tensor;

const binaries: readonly (readonly [string, Binary])[] = [
  ["add", add],
  ["div", div],
  ["maximum", maximum],
  ["minimum", minimum],
  ["mul", mul],
  ["sub", sub],
];

const comparisons: readonly (readonly [string, Binary])[] = [
  ["equal", equal],
  ["greater", greater],
  ["greaterEqual", greaterEqual],
  ["less", less],
  ["lessEqual", lessEqual],
  ["notEqual", notEqual],
];

/** A shape, and three that broadcast to it: axes of size 1 anywhere, leading axes left out. */
const broadcastShapes = fc
  .record({
    outer: fc.array(fewSize, { maxLength: 3 }),
    inner: anySize,
    stretched: fc.array(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), {
      minLength: 4,
      maxLength: 4,
    }),
    drop: fc.tuple(fc.nat(3), fc.nat(3)),
  })
  .map(({ outer, inner, stretched, drop: [dropB, dropC] }) => {
    const shape = [...outer, inner];
    const of = (operand: 0 | 1 | 2): number[] =>
      shape.map((size, axis) => (stretched[axis]?.[operand] === true ? 1 : size));
    return {
      a: of(0),
      b: of(1).slice(Math.min(dropB, shape.length - 1)),
      c: of(2).slice(Math.min(dropC, shape.length - 1)),
    };
  });

const input = fc.record({ seed: anySeed, shapes: broadcastShapes });

export function broadcastSuite(suite: Suite): void {
  it.each(binaries)("%s broadcasts as the reference does", async (_name, operator) => {
    await holds(
      input,
      ({ seed, shapes: { a, b } }) =>
        agree(suite, seed, rounded, (inputs) => ({
          out: operator(inputs.normal(a), inputs.normal(b)),
        })),
      60,
    );
  });

  it.each(binaries)("%s takes numbers on either side", async (_name, operator) => {
    await agree(suite, 3, rounded, (inputs) => ({
      left: operator(2.5, inputs.normal([19])),
      right: operator(inputs.normal([19]), 2.5),
    }));
  });

  it.each(binaries)(
    "%s of what threads divide: long, by rows and by columns",
    async (_name, operator) => {
      await agree(suite, 13, rounded, (inputs) => ({
        long: operator(inputs.normal([70_001]), inputs.normal([70_001])),
        byRows: operator(inputs.normal([301, 257]), inputs.normal([257])),
        byColumns: operator(inputs.normal([1, 70_001]), inputs.normal([2, 1])),
        outer: operator(inputs.normal([301, 1]), inputs.normal([1, 257])),
        deep: operator(inputs.normal([3, 1, 40, 1]), inputs.normal([1, 5, 1, 33])),
      }));
    },
  );

  it("maximum and minimum give NaN if either is NaN", async () => {
    const [a, b] = [
      [Number.NaN, 1, Number.NaN, 1, 5],
      [1, Number.NaN, Number.NaN, 2, 4],
    ];
    const read = await readAll(suite.device, 4, (inputs) => {
      const [left, right] = [inputs.of(a, [5]), inputs.of(b, [5])];
      return { max: maximum(left, right), min: minimum(left, right) };
    });
    expect(read.get("max")?.values).toBeClose([Number.NaN, Number.NaN, Number.NaN, 2, 5], exact);
    expect(read.get("min")?.values).toBeClose([Number.NaN, Number.NaN, Number.NaN, 1, 4], exact);
  });

  it("division by zero follows IEEE 754", async () => {
    const read = await readAll(suite.device, 5, (inputs) => ({
      out: div(inputs.of([1, -1, 0], [3]), 0),
    }));
    expect(read.get("out")?.values).toBeClose(
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
      exact,
    );
  });

  it("addInto adds in place, with broadcasting", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: fewSize, columns: anySize }),
      ({ seed, rows, columns }) =>
        agree(suite, seed, rounded, (inputs) => {
          const target = inputs.normal([rows, columns]);
          addInto(target, inputs.normal([rows, columns]));
          addInto(target, inputs.normal([columns]));
          return { target };
        }),
    );
  });

  it.each(comparisons)(
    "%s gives the reference's masks, of floats, integers and bytes",
    async (_name, operator) => {
      await holds(
        input,
        ({ seed, shapes: { a, b } }) =>
          agree(suite, seed, exact, (inputs) => ({
            // Few different values, so that there are equals.
            integers: operator(inputs.integers(a, 3), inputs.integers(b, 3)),
            floats: operator(
              where(inputs.mask(a), inputs.normal(a), 0.5),
              where(inputs.mask(b), inputs.normal(b), 0.5),
            ),
            bytes: operator(inputs.mask(a), inputs.mask(b)),
          })),
        40,
      );
    },
  );

  it.each(comparisons)(
    "%s of NaN, infinities, zeros, numbers and long tensors",
    async (_name, operator) => {
      const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 1];
      await agree(suite, 12, exact, (inputs) => ({
        special: operator(inputs.of(special, [6, 1]), inputs.of(special, [1, 6])),
        number: operator(inputs.of(special, [6]), 0),
        left: operator(1, inputs.of(special, [6])),
        integer: operator(inputs.integers([40], 5), 2),
        long: operator(inputs.normal([70_001]), inputs.normal([70_001])),
      }));
    },
  );

  it("masks are 0 and 1", async () => {
    const read = await readAll(suite.device, 16, (inputs) => ({
      less: less(inputs.of([1, 2, 3], [3]), 2),
      and: logicalAnd(
        inputs.of(Uint8Array.of(4, 8, 0), [3]),
        inputs.of(Uint8Array.of(2, 0, 0), [3]),
      ),
      not: logicalNot(inputs.of(Uint8Array.of(4, 1, 0), [3])),
    }));
    expect([...(read.get("less")?.values ?? [])]).toEqual([1, 0, 0]);
    expect([...(read.get("and")?.values ?? [])]).toEqual([1, 0, 0]);
    expect([...(read.get("not")?.values ?? [])]).toEqual([0, 0, 1]);
  });

  it("and, or, exclusive or and not of masks agree with the reference", async () => {
    await holds(input, ({ seed, shapes: { a, b } }) =>
      agree(suite, seed, exact, (inputs) => ({
        and: logicalAnd(inputs.mask(a), inputs.mask(b)),
        or: logicalOr(inputs.mask(a), inputs.mask(b)),
        xor: logicalXor(inputs.mask(a), inputs.mask(b)),
        not: logicalNot(inputs.mask(a)),
      })),
    );
  });

  it("where broadcasts its three operands as the reference does", async () => {
    await holds(
      input,
      ({ seed, shapes: { a, b, c } }) =>
        agree(suite, seed, exact, (inputs) => ({
          floats: where(inputs.mask(c), inputs.normal(a), inputs.normal(b)),
          integers: where(inputs.mask(a), inputs.integers(b, 99), inputs.integers(c, 99)),
          numbers: where(inputs.mask(a), 1, -1),
          mixed: where(inputs.mask(a), inputs.normal(b), 0),
        })),
      60,
    );
    await agree(suite, 17, exact, (inputs) => ({
      long: where(inputs.mask([70_001]), inputs.normal([70_001]), inputs.normal([70_001])),
      rows: where(inputs.mask([301, 1]), inputs.normal([301, 257]), inputs.normal([257])),
    }));
  });

  it("where does not let a NaN through that was not chosen", async () => {
    const read = await readAll(suite.device, 18, (inputs) => ({
      out: where(inputs.of(Uint8Array.of(1, 0), [2]), inputs.of([1, Number.NaN], [2]), 3),
    }));
    expect(read.get("out")?.values).toBeClose([1, 3], exact);
  });

  it("isFinite and countNonFinite find infinities and NaN wherever they are", async () => {
    await holds(
      fc.record({ seed: anySeed, size: fc.oneof(anySize, fc.constant(70_001)) }),
      ({ seed, size }) =>
        agree(suite, seed, exact, (inputs) => {
          const x = Float32Array.from({ length: size }, () => {
            const kind = inputs.random.integer(40);
            if (kind === 0) return Number.NaN;
            if (kind === 1) return Number.POSITIVE_INFINITY;
            if (kind === 2) return Number.NEGATIVE_INFINITY;
            return kind === 3 ? 3.4028234e38 : inputs.random.normal();
          });
          const tensor = inputs.of(x, [size]);
          return { mask: isFinite(tensor), count: countNonFinite(tensor) };
        }),
    );
  });
}
