import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { goldenRows } from "../testing/golden-rows.ts";
import {
  goldenCaseSchema,
  goldenCurve,
  goldenGradients,
  type GoldenStepCase,
  type GoldenStream,
  readFixture,
} from "../testing/golden-steps.ts";
import { StatisticsSums, streamStatistics } from "./normalise.ts";
import { layoutOf } from "./layout.ts";
import { inOrder } from "../testing/golden-run.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

// Made by oracles/sae/make.py and architectures.py: the same steps in PyTorch with autograd, in f64.
const oneStreamSchema = z.object({
  dIn: z.int(),
  scale: z.number(),
  variance: z.number(),
  x: z.array(z.number()),
  cases: z.record(z.string(), goldenCaseSchema),
});
const [recipes, kinds] = ["steps.json", "architectures.json"].map((name) =>
  readFixture(name, oneStreamSchema),
);
// Made by oracles/sae/architectures_more.py.
const more = readFixture(
  "architectures-more.json",
  z.object({
    streams: z.record(
      z.string(),
      z.object({
        dIn: z.int(),
        seed: z.int(),
        gain: z.array(z.number()),
        cases: z.record(
          z.string(),
          goldenCaseSchema.extend({ scales: z.array(z.number()), variance: z.number() }),
        ),
      }),
    ),
  }),
);

interface Example {
  readonly name: string;
  readonly stream: GoldenStream;
  readonly example: GoldenStepCase;
}

const examples: Example[] = [recipes, kinds].flatMap((golden): Example[] => {
  if (golden === undefined) return [];
  const stream = { ...golden, rows: Float32Array.from(golden.x) };
  return Object.entries(golden.cases).map(([name, example]) => ({ name, stream, example }));
});
for (const [streamName, { dIn, seed, gain, cases }] of Object.entries(more.streams)) {
  const rows = goldenRows(seed, dIn, gain, 200 * 16);
  for (const [name, example] of Object.entries(cases)) {
    const { scales, variance } = example;
    const [scale = 1] = scales;
    const stream = { dIn, scale, ...(scales.length === 1 ? {} : { scales }), variance, rows };
    examples.push({ name: `${streamName}: ${name}`, stream, example });
  }
}

describe.each(examples)("$name against PyTorch", ({ stream, example }) => {
  const { config } = example;
  // The same runs of PyTorch in f32 end within 5e-7 of f64's (log theta 3e-6), but p-annealing's within 6e-5: its gradient is steep
  // where an activation is close to 0.
  const steep = config.architecture === "p_anneal";

  it("has its gradients half-way through a run", async () => {
    const { gradients } = example;
    const { result, ours } = await goldenGradients(device, stream, example);
    expect(Math.abs(result.loss / gradients.loss - 1)).toBeLessThan(2e-6);
    expect(Object.keys(ours).sort()).toEqual(Object.keys(gradients.values).sort());
    // f32 against f64, sums of 16 rows of terms of order 1.
    for (const [name, expected] of Object.entries(gradients.values)) {
      const most = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
      expect(ours[name], name).toBeClose(expected, { rtol: 2e-5, atol: 2e-6 * most });
    }
  });

  it("follows its curve and ends at its parameters", async () => {
    const found = await goldenCurve(device, stream, example);
    expect(found.losses).toHaveLength(config.steps);
    expect(found.losses).toBeClose(example.losses, { rtol: steep ? 1e-4 : 1e-5, atol: 0 });
    // A point's count is taken after its step, so the golden's of the next step.
    expect(found.deadCounts.slice(0, -1)).toEqual(example.deadCounts.slice(1));
    for (const [name, expected] of Object.entries(example.parameters)) {
      const own = Array.from(found.parameters.get(name) ?? []);
      // Adam divides by the gradient's own size, so that f32's rounding of small gradients moves parameters by parts of the rate.
      expect(own, name).toBeClose(expected, { rtol: 0, atol: steep ? 2e-4 : 3e-5 });
    }
    for (const [name, expected] of Object.entries(example.memory ?? {}))
      expect(found.memory[name], name).toBeClose(expected, {
        rtol: steep ? 1e-4 : 1e-5,
        atol: 0,
      });
  });
});

describe("statistics", () => {
  it("estimate PyTorch's scale and variance", () => {
    const golden = recipes;
    if (golden === undefined) throw new TypeError("the golden is missing");
    const sums = new StatisticsSums(golden.dIn);
    sums.add(Float32Array.from(golden.x));
    const { scale, variance } = sums.statistics();
    expect([scale, variance]).toBeClose([golden.scale, golden.variance], { rtol: 1e-12, atol: 0 });
  });

  it.each(examples.filter(({ name }) => name.includes(": ")))(
    "are those of each site for $name",
    async ({ stream, example: { config } }) => {
      const found = await streamStatistics(
        inOrder(stream.rows, stream.dIn),
        config.normalisationTokens,
        config.batchSize,
        layoutOf(config, stream.dIn),
      );
      expect(found.scales ?? [found.scale]).toBeClose(stream.scales ?? [stream.scale], {
        rtol: 1e-9,
        atol: 0,
      });
      expect(found.variance).toBeCloseTo(stream.variance, 8);
    },
  );
});
