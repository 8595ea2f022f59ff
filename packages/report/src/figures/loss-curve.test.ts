import { expect, it } from "vitest";
import { lossCurve } from "./loss-curve.ts";

const points = Array.from({ length: 3000 }, (_, index) => ({
  tokens: 1000 * (index + 1),
  loss: index % 100 === 7 ? null : 1 + 7 / (1 + index / 50),
  ...(index % 500 === 499 ? { validation: 1.1 + 7 / (1 + index / 50) } : {}),
}));

it("draws a document of its own that says what it shows, small for a long run", () => {
  const svg = lossCurve({ points, decayFrom: 2.4e6 });
  expect(svg).toMatch(/^<svg[^>]* xmlns="http:\/\/www\.w3\.org\/2000\/svg"/u);
  expect(svg).toContain("Training loss over 3,000,000 tokens, ending at 1.1");
  expect(svg).toContain("validation loss (dots)");
  expect(svg.match(/<circle/gu)).toHaveLength(6);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/u);
  expect(svg.length).toBeLessThan(20_000);
});

it("draws runs of one line and of none", () => {
  for (const few of [[], points.slice(0, 1), [{ tokens: 5, loss: null }]])
    expect(lossCurve({ points: few })).toMatch(/^<svg/u);
});
