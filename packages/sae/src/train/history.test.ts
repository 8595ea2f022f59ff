import { describe, expect, it } from "vitest";
import {
  stabilityOf,
  type TrainingHistory,
  trainingHistorySchema,
  type TrainingPoint,
} from "./history.ts";
import { shortRunJumpRelu } from "./recipes.ts";

function historyOf(
  figures: readonly { readonly heldOutL0: number; readonly denseCount: number }[],
  planned = figures.length,
): TrainingHistory {
  const config = { ...shortRunJumpRelu({ dSae: 64, tokens: 1024 * planned }), evaluateEvery: 1 };
  const points = figures.map((figure, index): TrainingPoint => ({
    step: index + 1,
    presentations: 1024 * (index + 1),
    uniqueTokens: 500,
    loss: 1,
    l0: 1,
    fvu: 0.2,
    heldOutFvu: 0.2,
    deadCount: 0,
    ...figure,
  }));
  return {
    schemaVersion: 1,
    recipe: "short-run",
    config,
    uniqueTokens: 500,
    presentations: 1024 * figures.length,
    inputScale: 1,
    points,
    backend: { name: "cpu", matmul: "wasm", threads: 1, build: "x" },
  };
}

/** Ten points, the last three of which are given: the last fifth runs from the eighth point to the tenth. */
function ending(...last: readonly (readonly [l0: number, dense: number])[]): TrainingHistory {
  const early = Array.from({ length: 10 - last.length }, () => ({
    heldOutL0: 500,
    denseCount: 900,
  }));
  return historyOf([
    ...early,
    ...last.map(([heldOutL0, denseCount]) => ({ heldOutL0, denseCount })),
  ]);
}

describe("stabilityOf", () => {
  it("is stable when neither figure moved by more than 5% over the last fifth", () => {
    const { stable, reason } = stabilityOf(ending([100, 20], [120, 25], [105, 21]));
    expect(stable).toBe(true);
    expect(reason).toBe(
      "over the last fifth of training the dense count went from 20 to 21 and the held-out L0 went from 100 to 105, within 5%",
    );
  });

  it.each([
    {
      what: "the held-out L0",
      end: [94, 20] as const,
      says: "the held-out L0 went from 100 to 94, more than 5%",
    },
    {
      what: "the dense count",
      end: [100, 22] as const,
      says: "the dense count went from 20 to 22, more than 5%",
    },
  ])("is not when $what moved more, and says so", ({ end, says }) => {
    const { stable, reason } = stabilityOf(ending([100, 20], [100, 20], end));
    expect(stable).toBe(false);
    expect(reason).toContain(says);
  });

  it("counts a latent that became dense where there was none", () => {
    expect(stabilityOf(ending([100, 0], [100, 0], [100, 0])).stable).toBe(true);
    expect(stabilityOf(ending([100, 0], [100, 0], [100, 1])).stable).toBe(false);
  });

  it("is not when training stopped early, or was not evaluated before its last fifth", () => {
    expect(stabilityOf(historyOf([{ heldOutL0: 1, denseCount: 1 }], 10)).reason).toBe(
      "training stopped at 1024 of 10240 presentations",
    );
    expect(stabilityOf(historyOf([])).stable).toBe(false);
    const { points, ...rest } = ending([100, 20]);
    expect(stabilityOf({ ...rest, points: points.slice(-1) }).reason).toMatch(
      /not evaluated before its last fifth/u,
    );
  });

  it("reads histories back from JSON", () => {
    const history = ending([100, 20]);
    expect(trainingHistorySchema.parse(JSON.parse(JSON.stringify(history)))).toEqual(history);
  });
});
