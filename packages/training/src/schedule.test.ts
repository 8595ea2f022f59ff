import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { parseTrainingConfig, type TrainingConfigInput } from "./config.ts";
import { planOf, rateFactor, sharedSteps } from "./schedule.ts";

const configs = fc.record({
  tokens: fc.integer({ min: 1, max: 5000 }),
  batch: fc.integer({ min: 1, max: 8 }),
  learningRate: fc.constant(1),
  warmUpSteps: fc.integer({ min: 1, max: 40 }),
  decayShare: fc.float({ min: 0, max: 1, noNaN: true }),
  decay: fc.constantFrom("1-sqrt" as const, "linear" as const, "cosine" as const),
  floor: fc.float({ min: 0, max: 1, noNaN: true }),
  averageShare: fc.float({ min: 0, max: 1, noNaN: true }),
});
const contextSize = 4;

describe("the learning rate", () => {
  test.prop([configs])(
    "rises, stays, falls to its floor, and has a value at every step",
    (input) => {
      const config = parseTrainingConfig(input);
      const plan = planOf(config, contextSize);
      expect(plan.steps * plan.tokensPerStep).toBeGreaterThanOrEqual(config.tokens);
      expect((plan.steps - 1) * plan.tokensPerStep).toBeLessThan(config.tokens);
      const factors = Array.from({ length: plan.steps }, (_, step) =>
        rateFactor(plan, config, step),
      );
      for (const [step, factor] of factors.entries()) {
        const before = factors[step - 1] ?? 0;
        if (step < plan.warmUpEnd) expect(factor).toBeGreaterThan(before);
        else if (step < plan.decayStart) expect(factor).toBe(1);
        else if (step > plan.decayStart) expect(factor).toBeLessThanOrEqual(before + 1e-12);
        expect(factor).toBeGreaterThanOrEqual(step < plan.warmUpEnd ? 0 : config.floor - 1e-12);
      }
      if (plan.decayStart < plan.steps)
        expect(rateFactor(plan, config, plan.steps)).toBeCloseTo(config.floor, 9);
    },
  );

  it("is 1 - sqrt in its decay", () => {
    const config = parseTrainingConfig({
      tokens: 400,
      batch: 1,
      learningRate: 1,
      warmUpSteps: 10,
      decayShare: 0.5,
      floor: 0.2,
    });
    const plan = planOf(config, contextSize);
    expect(plan).toMatchObject({ steps: 100, warmUpEnd: 10, decayStart: 50, averageStart: 101 });
    expect(rateFactor(plan, config, 0)).toBe(0.1);
    expect(rateFactor(plan, config, 50)).toBe(1);
    expect(rateFactor(plan, config, 50 + 12.5)).toBeCloseTo(0.2 + 0.8 * 0.5, 12);
  });
});

test.prop([configs, configs])("two plans do the same up to their shared steps", (one, other) => {
  const [a, b] = [one, { ...other, batch: one.batch, warmUpSteps: one.warmUpSteps }].map((input) =>
    parseTrainingConfig(input),
  ) as [ReturnType<typeof parseTrainingConfig>, ReturnType<typeof parseTrainingConfig>];
  const [first, second] = [planOf(a, contextSize), planOf(b, contextSize)];
  const shared = sharedSteps(first, second);
  for (let step = 0; step < shared; step++)
    expect(rateFactor(first, a, step)).toBe(rateFactor(second, b, step));
  expect(shared).toBeLessThan(Math.min(first.averageStart, second.averageStart));
});

describe("a configuration", () => {
  const good: TrainingConfigInput = { tokens: 100, batch: 4, learningRate: 1e-3 };

  it("has its defaults filled in", () => {
    expect(parseTrainingConfig(good)).toMatchObject({ microBatch: 4, clip: 1, weightDecay: 0.1 });
    // What was filled in is itself a configuration.
    const filled = parseTrainingConfig(good);
    expect(parseTrainingConfig(filled)).toEqual(filled);
  });

  it.each([
    [{ ...good, tokens: 0 }, /tokens/u],
    [{ ...good, learningRate: -1 }, /learningRate/u],
    [{ ...good, microBatch: 3 }, /not whole micro-batches of 3/u],
    [{ ...good, betas: [0.9] }, /betas/u],
    [{ ...good, lerningRate: 1 }, /lerningRate/u],
    [{ ...good, decay: "step" }, /decay/u],
    [{ tokens: 5 }, /batch: .*; learningRate: /u],
    [null, /\(whole\)/u],
  ])("is refused: %o", (input, message) => {
    expect(() => parseTrainingConfig(input)).toThrow(message);
    expect(() => parseTrainingConfig(input)).toThrow(
      expect.objectContaining({ code: "TRAINING_CONFIG" }),
    );
  });
});
