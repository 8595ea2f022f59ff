/* oxlint-disable vitest/expect-expect -- agree(), holds() and gradientsAgree() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import { attention } from "../../operators/attention.ts";
import {
  attentionMix,
  attentionPattern,
  attentionScores,
} from "../../operators/attention-pattern.ts";
import { concat, slice } from "../../operators/layout.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
import {
  agree,
  anySeed,
  exact,
  holds,
  type Inputs,
  readAll,
  rounded,
  type Suite,
} from "./agree.ts";
import { type Case, formula, make, small, variants } from "./attention-cases.ts";
import { gradientsAgree } from "./gradient-check.ts";

/** Exponentials by polynomials, then sums of them. */
const softened: Tolerance = { rtol: 1e-5, atol: 2e-6 };

/** The output and all three gradients, for a gradient of normals. */
function withGradients(inputs: Inputs, { q, k, v, options }: Case): Record<string, Tensor> {
  using tape = new Tape(inputs.device);
  const wrt = [q, k, v];
  for (const tensor of wrt) tape.watch(tensor);
  const out = tape.run(() => attention(q, k, v, options));
  const gradients = tape.gradients(out, wrt, inputs.normal(out.shape));
  return { out, ...Object.fromEntries(gradients.map((tensor, index) => [`d${index}`, tensor])) };
}

export function attentionSuite(suite: Suite): void {
  it("attention and its gradient agree with the reference", async () => {
    const sizes = fc.record({
      batch: fc.constantFrom(0, 1, 2),
      qLength: fc.constantFrom(0, 1, 2, 5, 9, 33),
      past: fc.constantFrom(0, 1, 7, 40),
      room: fc.constantFrom(0, 3),
      kvHeads: fc.constantFrom(1, 3),
      group: fc.constantFrom(1, 2, 3),
      dHead: fc.constantFrom(1, 3, 4, 6, 16, 64),
      causal: fc.boolean(),
      window: fc.constantFrom(null, 1, 3, 20),
      softCap: fc.constantFrom(null, 0.7, 30),
      masked: fc.boolean(),
    });
    await holds(
      fc.record({ seed: anySeed, sizes }),
      ({ seed, sizes: { window, ...rest } }) =>
        agree(suite, seed, softened, (inputs) =>
          withGradients(inputs, make(inputs, { ...rest, window: rest.causal ? window : null })),
        ),
      60,
    );
  });

  it.each([
    { qLength: 127, past: 0, window: null },
    { qLength: 128, past: 1, window: 128 },
    { qLength: 129, past: 0, window: 130 },
    { qLength: 257, past: 0, window: null },
    { qLength: 2, past: 513, window: null },
    { qLength: 70, past: 450, window: 300 },
    { qLength: 520, past: 0, window: 17 },
  ])("sizes around the limits of blocks agree: $qLength after $past, window $window", (sizes) =>
    agree(suite, 51, softened, (inputs) =>
      withGradients(
        inputs,
        make(inputs, { ...small, batch: 1, kvHeads: 1, dHead: 5, ...sizes, masked: true }),
      ),
    ),
  );

  it.each(variants)("gradients are those of finite differences: %s", async (_name, sizes) => {
    await gradientsAgree(suite, 52, { rtol: 1e-4, atol: 1e-5 }, (inputs) => {
      const { q, k, v, options } = make(inputs, sizes);
      return { wrt: [q, k, v], forward: () => attention(q, k, v, options) };
    });
  });

  it.each(variants)(
    "by its pattern attention is the same, with its gradient: %s",
    async (_name, sizes) => {
      const read = await readAll(suite.device, 53, (inputs) => {
        const { q, k, v, options } = make(inputs, sizes);
        return {
          fused: attention(q, k, v, options),
          steps: attentionMix(attentionPattern(q, k, options), v),
        };
      });
      expect(read.get("steps")?.values).toBeClose(read.get("fused")?.values ?? [], softened);
      await gradientsAgree(suite, 53, { rtol: 1e-4, atol: 1e-5 }, (inputs) => {
        const { q, k, v, options } = make(inputs, sizes);
        return { wrt: [q, k, v], forward: () => attentionMix(attentionPattern(q, k, options), v) };
      });
    },
  );

  it.each(variants)("equals the formula in f64: %s", async (_name, sizes) => {
    const read = await readAll(suite.device, 54, (inputs) => {
      const { q, k, v, options } = make(inputs, sizes);
      const mask = options.keyMask ?? null;
      return { q, k, v, ...(mask === null ? {} : { mask }), out: attention(q, k, v, options) };
    });
    const values = (name: string): ArrayLike<number> | undefined => read.get(name)?.values;
    const expected = formula(
      sizes,
      values("q") ?? [],
      values("k") ?? [],
      values("v") ?? [],
      values("mask"),
    );
    expect(read.get("out")?.values).toBeClose(expected, softened);
  });

  it("keys behind a query change nothing, to the last bit, and those beyond kLength are not read", async () => {
    const read = await readAll(suite.device, 55, (inputs) => {
      const { q, k, v, options } = make(inputs, { ...small, batch: 1, qLength: 140, room: 0 });
      const start = 100;
      const change = (x: Tensor): Tensor =>
        concat(
          [
            slice(x, { axis: 1, start: 0, end: start }),
            inputs.normal([1, x.shape[1] === undefined ? 0 : x.shape[1] - start, 2, 6], 9),
          ],
          { axis: 1 },
        );
      const before = (x: Tensor): Tensor => slice(x, { axis: 1, start: 0, end: start - 3 });
      const poison = inputs.device.full([1, 4, 2, 6], Number.NaN);
      const extend = (x: Tensor): Tensor => concat([x, poison], { axis: 1 });
      return {
        whole: before(attention(q, k, v, options)),
        changed: before(attention(q, change(k), change(v), options)),
        all: attention(q, k, v, options),
        poisoned: attention(q, extend(k), extend(v), options),
      };
    });
    expect(read.get("changed")?.values).toBeClose(read.get("whole")?.values ?? [], exact);
    expect(read.get("poisoned")?.values).toBeClose(read.get("all")?.values ?? [], exact);
  });

  it("gradients beyond kLength are 0 whatever lies there", async () => {
    const read = await readAll(suite.device, 56, (inputs) => {
      const { q, k, v, options } = make(inputs, { ...small, room: 0 });
      const poison = inputs.device.full([2, 2, 2, 6], Number.NaN);
      const extend = (x: Tensor): Tensor => concat([x, poison], { axis: 1 });
      return withGradients(inputs, { q, k: extend(k), v: extend(v), options });
    });
    for (const name of ["d1", "d2"]) {
      const values = read.get(name)?.values ?? [];
      // [batch 2, capacity 10, 2 heads of 6]: the last two rows of each entry.
      for (const entry of [0, 1])
        expect(values.slice((entry * 10 + 8) * 12, (entry + 1) * 120)).toBeClose(
          new Float32Array(24),
          exact,
        );
      expect(values.some((value) => Number.isNaN(value))).toBe(false);
    }
  });

  it("grouped queries equal key heads repeated", async () => {
    const read = await readAll(suite.device, 57, (inputs) => {
      const { q, k, v, options } = make(inputs, { ...small, group: 3, room: 0 });
      const repeat = (x: Tensor): Tensor => {
        const heads = [0, 0, 0, 1, 1, 1].map((head) =>
          slice(x, { axis: 2, start: head, end: head + 1 }),
        );
        return concat(heads, { axis: 2 });
      };
      return {
        grouped: attention(q, k, v, options),
        repeated: attention(q, repeat(k), repeat(v), options),
      };
    });
    expect(read.get("grouped")?.values).toBeClose(read.get("repeated")?.values ?? [], rounded);
  });

  it.each([
    ["one query at a time", 1],
    ["by sixteens", 16],
  ])("a cache gives what no cache gives, %s", async (_name, step) => {
    const read = await readAll(suite.device, 58, (inputs) => {
      const sizes = { ...small, qLength: 48, past: 0, window: 20, softCap: 3 };
      const { q, k, v, options } = make(inputs, sizes);
      const pieces = Array.from({ length: 48 / step }, (_, index) => {
        const end = (index + 1) * step;
        const queries = slice(q, { axis: 1, start: end - step, end });
        return attention(queries, k, v, { ...options, kLength: end });
      });
      return { whole: attention(q, k, v, options), pieces: concat(pieces, { axis: 1 }) };
    });
    expect(read.get("pieces")?.values).toBeClose(read.get("whole")?.values ?? [], softened);
  });

  it("a batch padded on the left gives what each of its texts gives alone; padding gives zeros", async () => {
    const read = await readAll(suite.device, 59, (inputs) => {
      const sizes = { ...small, qLength: 12, past: 0, room: 0, masked: true, window: 5 };
      const { q, k, v, options } = make(inputs, sizes);
      const keyMask = inputs.device.tensor(
        Uint8Array.from({ length: 24 }, (_, index) => (index % 12 >= (index < 12 ? 4 : 0) ? 1 : 0)),
        [2, 12],
      );
      const cut = (x: Tensor): Tensor => slice(x.rows(0, 1), { axis: 1, start: 4, end: 12 });
      const all = attention(q, k, v, { ...options, keyMask });
      return {
        padded: cut(all),
        padding: slice(all.rows(0, 1), { axis: 1, start: 0, end: 4 }),
        alone: attention(cut(q), cut(k), cut(v), { scale: options.scale, window: 5 }),
      };
    });
    expect(read.get("padded")?.values).toBeClose(read.get("alone")?.values ?? [], softened);
    expect(read.get("padding")?.values).toBeClose(new Float32Array(4 * 4 * 6), exact);
  });

  it("large scores stay finite, capped or not", async () => {
    for (const softCap of [null, 50]) {
      await agree(suite, 44, { rtol: 1e-4, atol: 1e-4 }, (inputs) => ({
        out: attention(
          inputs.normal([1, 12, 1, 8], 30),
          inputs.normal([1, 12, 1, 8], 30),
          inputs.normal([1, 12, 1, 8]),
          { scale: 1, softCap },
        ),
      }));
    }
  });

  it("NaN in a query stays in its row", async () => {
    const read = await readAll(suite.device, 60, (inputs) => {
      const [k, v] = [inputs.normal([1, 10, 1, 4]), inputs.normal([1, 10, 1, 4])];
      const q = inputs.of(
        Float32Array.from({ length: 40 }, (_, i) => (i === 17 ? Number.NaN : 1)),
        [1, 10, 1, 4],
      );
      return { out: attention(q, k, v, { scale: 1 }) };
    });
    const lost = [...(read.get("out")?.values ?? [])].map((value) => Number.isNaN(value));
    expect(lost).toEqual(Array.from({ length: 40 }, (_, i) => i >= 16 && i < 20));
  });

  it("patterns have the attention's layout, hide what is not seen, and sum to 1 or to 0", async () => {
    const read = await readAll(suite.device, 61, (inputs) => {
      const { q, k, options } = make(inputs, { ...small, batch: 1, past: 0, masked: true });
      return { scores: attentionScores(q, k, options), pattern: attentionPattern(q, k, options) };
    });
    expect(read.get("pattern")?.shape).toEqual([1, 4, 5, 5]);
    const scores = [...(read.get("scores")?.values ?? [])];
    const pattern = [...(read.get("pattern")?.values ?? [])];
    expect(pattern.map((weight) => weight > 0)).toEqual(scores.map((score) => score > -Infinity));
    const sums = Array.from({ length: 20 }, (_, row) =>
      pattern.slice(row * 5, row * 5 + 5).reduce((sum, weight) => sum + weight, 0),
    );
    expect(sums).toBeClose(
      sums.map((_, row) => (row % 5 < 2 ? 0 : 1)),
      rounded,
    );
  });

  it("two runs give the same bits", async () => {
    const run = () =>
      readAll(suite.device, 62, (inputs) =>
        withGradients(
          inputs,
          make(inputs, { ...small, qLength: 150, past: 0, kvHeads: 3, group: 3, dHead: 16 }),
        ),
      );
    expect(await run()).toEqual(await run());
  });

  it("is recorded only where a gradient is possible", async () => {
    const read = await readAll(suite.device, 63, (inputs) => {
      const { q, k, v, options } = make(inputs, small);
      const other = inputs.normal([1]);
      using tape = new Tape(inputs.device);
      tape.watch(other);
      const before = inputs.device.memory().liveBytes;
      const out = tape.run(() => attention(q, k, v, options));
      expect(inputs.device.memory().liveBytes - before).toBe(out.size * 4);
      expect(tape.tracks(out)).toBe(false);
      return { out };
    });
    expect(read.get("out")?.shape).toEqual([2, 5, 4, 6]);
  });
}
