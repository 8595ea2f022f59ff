import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import { rope } from "../../operators/position.ts";
import { ropeFrequencies, type RopeScaling, ropeTables } from "../../operators/rope-tables.ts";
// Made by oracles/tensor/position.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/position.json" with { type: "json" };
import { readAll, type Suite } from "./agree.ts";
import { floatsOf, type Packed, unpack } from "./packed.ts";

interface TableGolden {
  readonly dRotary: number;
  readonly base: number;
  /** Tokens of the sequence that the tables are for. */
  readonly length: number;
  readonly positions: Packed;
  readonly cos: Packed;
  readonly sin: Packed;
  readonly attentionFactor: number;
  readonly scaling?: unknown;
}

const tables: readonly (readonly [string, TableGolden])[] = Object.entries(goldens.tables);

/** Tables and rotations against Hugging Face transformers, gradients against PyTorch. */
export function positionGoldenSuite(suite: Suite): void {
  it.each(tables)("ropeTables equal transformers': %s", async (_name, golden) => {
    const { dRotary, base, length } = golden;
    const scaling = golden.scaling as RopeScaling | undefined; // the script writes what the type says
    expect(ropeFrequencies({ dRotary, base, scaling }).attentionFactor).toBeCloseTo(
      golden.attentionFactor,
      12,
    );
    const read = await readAll(suite.device, 1, ({ device }) => {
      const made = ropeTables({ dRotary, base, scaling, positions: length, device });
      return { ...made, positions: unpack(device, golden.positions) };
    });
    const rows = [...(read.get("positions")?.values ?? [])];
    for (const name of ["cos", "sin"] as const) {
      const values = read.get(name)?.values ?? new Float32Array();
      const picked = rows.flatMap((row) => [
        ...values.subarray((row * dRotary) / 2, ((row + 1) * dRotary) / 2),
      ]);
      // An ulp of a frequency is 2000 * 2^-24 of an angle at position 2000.
      expect(picked, name).toBeClose(floatsOf(golden[name]), { rtol: 0, atol: 3e-4 });
      // Nearby, where angles are small, the tables agree to roundings.
      const near = (dRotary / 2) * 4;
      expect(picked.slice(0, near), name).toBeClose(floatsOf(golden[name]).subarray(0, near), {
        rtol: 1e-6,
        atol: 1e-6,
      });
    }
  });

  it.each(Object.entries(goldens.rotations))(
    "rope and its gradient equal transformers': %s",
    async (_name, golden) => {
      const { dRotary, base, interleaved } = golden;
      const read = await readAll(suite.device, 1, ({ device }) => {
        const { cos, sin } = ropeTables({ dRotary, base, positions: 40, device });
        const [x, positions] = [unpack(device, golden.x), unpack(device, golden.positions)];
        using tape = new Tape(device);
        tape.watch(x);
        const out = tape.run(() => rope(x, cos, sin, positions, { dRotary, interleaved }));
        const [dX] = tape.gradients(out, [x], unpack(device, golden.dOut));
        if (dX === undefined) throw new TypeError("one gradient was asked for");
        return { out, dX };
      });
      // Tables are f32 in both; a rounding of an angle near 40 is 4e-6.
      const tolerance = { rtol: 1e-5, atol: 1e-5 };
      expect(read.get("out")?.values).toBeClose(floatsOf(golden.out), tolerance);
      expect(read.get("dX")?.values).toBeClose(floatsOf(golden.dX), tolerance);
    },
  );
}
