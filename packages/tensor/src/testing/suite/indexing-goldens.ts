/* oxlint-disable vitest/expect-expect -- check() asserts */
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Device } from "../../device.ts";
import {
  expand,
  flip,
  pad,
  repeat,
  repeatInterleave,
  split,
  stack,
} from "../../operators/arrange.ts";
import { mul } from "../../operators/arithmetic.ts";
import { embedding, gather, indexAdd, oneHot, scatterAdd, take } from "../../operators/indexing.ts";
import { concat, convert, permute, slice, transpose } from "../../operators/layout.ts";
import { cumsum, sort, topK, topKAll } from "../../operators/sort.ts";
import type { Tensor } from "../../tensor.ts";
// Made by oracles/tensor/indexing.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/indexing.json" with { type: "json" };
import { exact, type Outputs, readAll, type Suite } from "./agree.ts";
import { type Packed, unpack } from "./packed.ts";

/** An operator's inputs, output, the gradient to that, and the gradients to the inputs, by name. */
interface Golden {
  readonly x?: Packed;
  readonly table?: Packed;
  readonly updates?: Packed;
  readonly ids?: Packed;
  readonly out: Packed;
  readonly dOut: Packed;
  readonly dX?: Packed;
  readonly dTable?: Packed;
  readonly dUpdates?: Packed;
}

type Operator = (inputs: readonly Tensor[], ids: Tensor) => Tensor;

/** An operator of one tensor. */
const of =
  (operator: (x: Tensor) => Tensor): Operator =>
  ([x]) =>
    operator(present(x));

const layouts: Readonly<Record<keyof typeof goldens.layout, Operator>> = {
  permute: of((x) => permute(x, [2, 0, 1])),
  transpose: of((x) => transpose(x, 0, -1)),
  slice: of((x) => slice(x, { axis: 1, start: 1, end: 3 })),
  concat: of((x) => concat([x, slice(x, { axis: 1, start: 0, end: 2 })], { axis: 1 })),
  stack: of((x) => stack([x, mul(x, x)], { axis: -1 })),
  split: of((x) => concat(split(x, [1, 3], { axis: 1 }).toReversed(), { axis: 1 })),
  expand: of((x) => expand(slice(x, { axis: 1, start: 0, end: 1 }), [2, 3, 6, 5])),
  pad: of((x) =>
    pad(
      x,
      [
        [2, 0],
        [0, 3],
        [1, 2],
      ],
      -1.5,
    ),
  ),
  flip: of((x) => flip(x, [0, 2])),
  repeat: of((x) => repeat(x, [2, 1, 3, 2])),
  repeatInterleave: of((x) => repeatInterleave(x, 3, { axis: 1 })),
};

const byIndex: Readonly<Record<string, Operator>> = {
  embedding: ([table], ids) => embedding(present(table), ids),
  take: ([x], ids) => take(present(x), ids, { axis: 1 }),
  indexAdd: ([x, updates], ids) => indexAdd(present(x), ids, present(updates), { axis: 1 }),
  gather: ([x], ids) => gather(present(x), ids, { axis: 1 }),
  gatherLast: ([x], ids) => gather(present(x), ids, { axis: 2 }),
  scatterAdd: ([x, updates], ids) => scatterAdd(present(x), ids, present(updates), { axis: 1 }),
};

/** Sums of up to nine numbers, rounded to f32. */
const summed = { rtol: 1e-6, atol: 1e-6 };

export function indexingGoldenSuite(suite: Suite): void {
  const { oneHot: rows, ...indexed } = goldens.byIndex;
  const operators: readonly (readonly [string, Golden, Operator | undefined])[] = [
    ...Object.entries(goldens.layout).map(
      ([name, golden]) =>
        [name, golden, Object.entries(layouts).find(([own]) => own === name)?.[1]] as const,
    ),
    ...Object.entries(indexed).map(([name, golden]) => [name, golden, byIndex[name]] as const),
    ["topK", goldens.topK, of((x) => topK(x, 4).values)],
    ["topKAll", goldens.topKAll, of((x) => topKAll(x, 9).values)],
    ...Object.entries(goldens.cumsum).map(
      ([name, golden]) => [`cumsum ${name}`, golden, of((x) => cumsum(x, golden))] as const,
    ),
  ];

  it.each(operators)("%s and its gradient equal PyTorch's", (_name, golden, operator) =>
    check(suite, golden, present(operator)),
  );

  it.each(Object.entries(goldens.sort))("sort equals PyTorch's: %s", async (name, golden) => {
    const options = { descending: name.includes("descending") };
    const read = await readAll(suite.device, 1, ({ device }) => ({
      ...sort(unpack(device, golden.x), options),
      wanted: unpack(device, golden.out),
      order: unpack(device, golden.indices),
    }));
    expect(read.get("values")).toEqual(read.get("wanted"));
    expect(read.get("indices")).toEqual(read.get("order"));
    if ("dOut" in golden)
      await check(
        suite,
        golden,
        of((x) => sort(x, options).values),
      );
  });

  it("indices of topK and topKAll, and oneHot, equal PyTorch's", async () => {
    const run = (device: Device): Outputs => ({
      topK: topK(unpack(device, goldens.topK.x), 4).indices,
      topKAll: topKAll(unpack(device, goldens.topKAll.x), 9).indices,
      oneHot: oneHot(unpack(device, rows.ids), 8),
    });
    const read = await readAll(suite.device, 1, ({ device }) => run(device));
    const wanted = await readAll(suite.reference, 1, ({ device }) => ({
      topK: unpack(device, goldens.topK.indices),
      topKAll: unpack(device, goldens.topKAll.indices),
      oneHot: unpack(device, rows.out),
    }));
    expect(read).toEqual(wanted);
  });

  it("conversions equal PyTorch's", async () => {
    const golden = goldens.conversions;
    const read = await readAll(suite.device, 1, ({ device }) => {
      const x = unpack(device, golden.x);
      return {
        i32: convert(x, "i32"),
        negative: convert(mul(x, -1), "i32"),
        u8: convert(x, "u8"),
        f32: convert(unpack(device, golden.whole), "f32"),
        f16: convert(convert(x, "f16"), "f32"),
        bf16: convert(convert(x, "bf16"), "f32"),
      };
    });
    const wanted = await readAll(suite.reference, 1, ({ device }) => ({
      i32: unpack(device, golden.i32),
      negative: unpack(device, golden.negative),
      u8: unpack(device, golden.u8),
      f32: unpack(device, golden.f32),
      f16: unpack(device, golden.f16),
      bf16: unpack(device, golden.bf16),
    }));
    for (const [name, { values }] of wanted)
      expect(read.get(name)?.values ?? [], name).toBeClose(values, exact);
  });
}

async function check(suite: Suite, golden: Golden, operator: Operator): Promise<void> {
  const inputs = [golden.x ?? golden.table, golden.updates].filter((each) => each !== undefined);
  const wanted = [golden.dX ?? golden.dTable, golden.dUpdates].filter((each) => each !== undefined);
  const read = await readAll(suite.device, 1, ({ device }) => {
    const tensors = inputs.map((input) => unpack(device, input));
    const ids = golden.ids === undefined ? device.zeros([0], "i32") : unpack(device, golden.ids);
    using tape = new Tape(device);
    for (const tensor of tensors) tape.watch(tensor);
    const out = tape.run(() => operator(tensors, ids));
    const gradients = tape.gradients(out, tensors, unpack(device, golden.dOut));
    return { out, ...Object.fromEntries(gradients.map((each, index) => [`d${index}`, each])) };
  });
  const expected = await readAll(suite.reference, 1, ({ device }) => ({
    out: unpack(device, golden.out),
    ...Object.fromEntries(wanted.map((each, index) => [`d${index}`, unpack(device, each)])),
  }));
  expect([...read.keys()]).toEqual([...expected.keys()]);
  for (const [name, { shape, values }] of expected) {
    expect(read.get(name)?.shape, `shape of ${name}`).toEqual(shape);
    expect(read.get(name)?.values ?? [], name).toBeClose(values, summed);
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError("the golden lacks an input");
  return value;
}
