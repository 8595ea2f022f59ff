import type { MatmulPlan, Slice } from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { programText } from "../../issue/program.ts";
import { reasonToSkip } from "../../test-support.ts";
import { unitsText } from "./matrix-units.ts";

const skip = await reasonToSkip();

// No software driver has matrix units: Dawn's backend that computes nothing compiles the text, and says what is wrong with it.
describe.skipIf(skip !== null)("products by matrix units", async () => {
  const { create } = await import("webgpu");
  const host = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  const adapter = await host.requestAdapter();
  const device = await adapter?.requestDevice({
    requiredFeatures: [
      "shader-f16",
      "subgroups",
      // A draft, which the types do not know.
      "chromium-experimental-subgroup-matrix" as GPUFeatureName,
    ],
  });
  afterAll(() => device?.destroy());

  const faults = async (text: string): Promise<string[]> => {
    const module = device?.createShaderModule({ code: text });
    const messages = (await module?.getCompilationInfo())?.messages ?? [];
    return messages.filter(({ type }) => type === "error").map(({ message }) => message);
  };
  const names = ["a", "b", "out"] as const;
  const text = (units: Parameters<typeof unitsText>[0], a: Slice, b: Slice, transposed: boolean) =>
    programText({
      binding: {
        slots: [a, b, a].map(({ dtype }, at) => ({
          type: at < 2 && dtype === "f16" ? "u32" : "f32",
          writable: at === 2,
          segments: 1,
        })),
        placed: names.map((name, slot) => ({
          name,
          slot,
          dtype: slot === 2 ? "f32" : a.dtype,
          access: slot === 2 ? "write" : "read",
          raw: false,
        })),
        segmentWords: 1,
        ranges: [],
        starts: [],
      },
      parameters: [
        "groups",
        "at_a",
        "at_b",
        "at_out",
        "batch",
        "m",
        "n",
        "k",
        "rowTiles",
        "columnTiles",
        "rowStrideA",
        "rowStrideB",
        "rowStrideOut",
        "batchStrideA",
        "batchStrideB",
        "batchStrideOut",
      ]
        .map((name) => [name, "u32"] as [string, "f32" | "u32"])
        .concat([
          ["alpha", "f32"],
          ["beta", "f32"],
        ]),
      lanes: 4 * units.subgroup,
      features: { software: false, subgroups: true },
      // What the text asks of a plan.
      body: unitsText(units, a, b, {
        transposeA: transposed,
        transposeB: !transposed,
        epilogue: { bias: null, activation: "silu" },
      } as MatmulPlan),
    });

  it.each([
    [{ m: 16, n: 16, k: 16, subgroup: 32 }, "f32", false],
    [{ m: 16, n: 8, k: 16, subgroup: 32 }, "f16", true],
    [{ m: 8, n: 8, k: 8, subgroup: 32 }, "f32", true],
  ] as const)("compile: %j of %s", async (units, dtype, transposed) => {
    expect(device).toBeDefined();
    const slice = { dtype } as Slice;
    const program = text(units, slice, slice, transposed);
    expect(await faults(program)).toEqual([]);
    // The compiler does look: a fragment of other sizes does not multiply.
    const wrong = program.replace(
      /subgroup_matrix_right<f16, \d+, \d+>/,
      "subgroup_matrix_right<f16, 32, 32>",
    );
    expect(await faults(wrong)).not.toEqual([]);
  });
});
