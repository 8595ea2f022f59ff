import { expect, it } from "vitest";
import { countPenalties, logitBias, repetitionPenalty } from "./logits-processors.ts";

const context = { tokens: [0, 1, 1, 2, 2, 2], promptLength: 3, prompt: 0, sample: 0 };

it("penalises each token of the text once, towards less probable whatever its sign", () => {
  const logits = Float32Array.of(4, -4, 0, 3);
  repetitionPenalty(2)(logits, context);
  expect([...logits]).toEqual([2, -8, 0, 3]);
  for (const bad of [0, -1, Number.NaN, Infinity])
    expect(() => repetitionPenalty(bad)).toThrow(
      expect.objectContaining({ code: "SAMPLING_INVALID" }),
    );
});

it("counts what was generated, not the prompt", () => {
  const logits = Float32Array.of(1, 1, 1, 1);
  countPenalties({ presence: 0.5, frequency: 0.25 })(logits, context);
  expect([...logits]).toEqual([1, 1, 1 - 0.5 - 0.75, 1]);
});

it("biases tokens of the vocabulary, and no others", () => {
  const logits = Float32Array.of(1, 1);
  logitBias(
    new Map([
      [1, -Infinity],
      [7, 3],
    ]),
  )(logits, context);
  expect([...logits]).toEqual([1, -Infinity]);
});
