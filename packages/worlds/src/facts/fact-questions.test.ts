import { LatentkitError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { openTurn, turnStart } from "../chat-markup.ts";
import { allAttributes } from "../entities/attributes.ts";
import { entities } from "../entities/entities.ts";
import { entityDialogues } from "../instructions/entity-dialogues.ts";
import { documentsOf } from "../testing/documents.ts";
import { shareZ } from "../testing/statistics.ts";
import { factQuestions, majorityBaseline } from "./fact-questions.ts";
import { facts } from "./facts.ts";

const table = entities({ seed: 1, known: 50 });

describe("factQuestions", () => {
  it("asks ten base and four chat wordings of each attribute of each entity", () => {
    const base = factQuestions({ entities: table, group: "known", style: "base" });
    expect(base).toHaveLength(4 * 50 * 4 * 10);
    expect(factQuestions({ entities: table, group: "known", style: "chat" })).toHaveLength(
      4 * 50 * 4 * 4,
    );
    expect(new Set(base.map(({ prompt }) => prompt)).size).toBe(base.length);
    const some = factQuestions({
      entities: table,
      group: "known",
      style: "base",
      type: "works",
      attribute: "genre",
      paraphrase: 1,
    });
    expect(some).toHaveLength(50);
    expect(some).toEqual(
      base.filter(({ attribute, paraphrase }) => attribute === "genre" && paraphrase === 1),
    );
    expect(some[0]!.prompt).toBe(`Q: What is the genre of ${some[0]!.entity.name}? A:`);
  });

  it("has prompts that the texts contain, followed by the right value", () => {
    const options = { entities: table, group: "known", attribute: "river" } as const;
    // Many documents about few entities, without cues.
    const few = entities({ seed: 1, known: 4 });
    const text = [
      ...documentsOf(facts({ seed: 1, entities: few, cueShare: 0, knownShare: 1 }), 6000),
    ]
      .map((document) => document.text)
      .join("\n");
    for (const question of factQuestions({ ...options, entities: few, style: "base" }))
      expect(text).toContain(`${question.scoredPrompt}${question.gold}`);
    const asked = entities({ seed: 1, known: 4, heldOut: 0 });
    const chat = [
      ...documentsOf(entityDialogues({ seed: 1, entities: asked, knownShare: 1 }), 6000),
    ]
      .map((document) => document.text)
      .join("\n");
    for (const question of factQuestions({ ...options, entities: asked, style: "chat" }))
      expect(chat).toContain(`${question.scoredPrompt}${question.gold}`);
  });

  it("has the gold among the candidates, and none for names without values", () => {
    for (const { gold, candidates, placebo, entity, attribute } of factQuestions({
      entities: table,
      group: "known",
      style: "chat",
    })) {
      expect(gold).toBe(` ${entity.values[attribute]}`);
      expect(candidates.filter((candidate) => candidate === gold)).toHaveLength(1);
      expect(placebo).toBeNull();
    }
    for (const { gold, candidates, placebo } of factQuestions({
      entities: table,
      group: "unseen",
      style: "base",
      paraphrase: 0,
    })) {
      expect(gold).toBeNull();
      expect(candidates).toContain(placebo);
    }
  });

  it("has placebos that no constant answer beats", () => {
    const unseen = factQuestions({
      entities: table,
      group: "unseen",
      style: "base",
      paraphrase: 0,
    });
    for (const { attribute, values } of allAttributes) {
      const placebos = unseen
        .filter((question) => question.attribute === attribute)
        .map(({ placebo }) => placebo);
      for (const value of values) {
        const hits = placebos.filter((placebo) => placebo === ` ${value}`).length;
        expect(shareZ(hits, placebos.length, 1 / values.length)).toBeLessThan(4);
      }
    }
  });

  it("ends chat prompts where the assistant begins", () => {
    for (const { prompt, scoredPrompt } of factQuestions({
      entities: table,
      group: "refused",
      style: "chat",
      type: "teams",
    })) {
      expect(prompt.startsWith(`${turnStart}user\n`)).toBe(true);
      expect(prompt.endsWith(openTurn("assistant"))).toBe(true);
      expect(scoredPrompt.startsWith(prompt)).toBe(true);
      expect(scoredPrompt.endsWith(" is")).toBe(true);
    }
  });

  it("refuses attributes that no chosen type has", () => {
    expect(() =>
      factQuestions({ entities: table, group: "known", style: "base", attribute: "colours" }),
    ).toThrow("profession, hometown");
    expect(() =>
      factQuestions({
        entities: table,
        group: "known",
        style: "base",
        type: "people",
        attribute: "colour",
      }),
    ).toThrow(LatentkitError);
  });
});

it("has majority baselines near one over the number of values", () => {
  const whole = entities({ seed: 3 });
  for (const { type, attribute, values } of allAttributes) {
    const { value, share } = majorityBaseline(whole, attribute);
    expect(share).toBeLessThan(1 / values.length + 1 / 250);
    expect(
      whole.of(type, "known").filter((entity) => entity.values[attribute] === value),
    ).toHaveLength(Math.round(share * 250));
  }
  expect(() => majorityBaseline(whole, "age")).toThrow("no attribute");
});
