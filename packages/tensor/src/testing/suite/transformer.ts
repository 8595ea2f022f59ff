/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import { fromBf16Bits } from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { embedding } from "../../operators/indexing.ts";
import { convert } from "../../operators/layout.ts";
import { agree, anySeed, anySize, exact, fewSize, holds, readAll, type Suite } from "./agree.ts";

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
}
