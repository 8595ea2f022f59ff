import { openCpuDevice } from "@latentkit/backend-cpu";
import { byteTokenizer } from "@latentkit/loaders";
import { randomModel } from "@latentkit/models";
import { afterAll, describe, expect, it } from "vitest";
import { evaluateTiny, evaluationSchema, evaluationTable, figuresOf } from "./index.ts";
import { chatTokenizer } from "./testing/chat-tokenizer.ts";

const device = await openCpuDevice();
const tokenizer = chatTokenizer();
const config = {
  layers: 1,
  dModel: 16,
  heads: 1,
  kvHeads: 1,
  dHead: 16,
  dMlp: 16,
  vocabulary: 259,
  contextSize: 2_048,
};
const model = randomModel({ device, seed: 1, tokenizer, config });
afterAll(() => {
  model.dispose();
  device.dispose();
});
const sizes = {
  facts: 3,
  answers: 2,
  instructions: 1,
  comparisons: 4,
  personas: 2,
  personaReplies: 2,
  secrets: 2,
  copying: 3,
  binding: 2,
  induction: 2,
  documents: 2,
};

describe("evaluateTiny", () => {
  it("gives every check with its number, interval and seed, and the same each time", async () => {
    const live = device.memory().liveBytes;
    const stages = new Set<string>();
    const options = {
      seed: 4,
      worldSeed: 7,
      sizes,
      onProgress: ({ stage }: { stage: string }) => stages.add(stage),
    };
    const evaluation = await evaluateTiny(model, options);
    expect(device.memory().liveBytes).toBe(live);
    expect(evaluationSchema.parse(JSON.parse(JSON.stringify(evaluation)))).toEqual(evaluation);
    expect(evaluation).toMatchObject({
      model: model.identity(),
      seed: 4,
      worldSeed: 7,
      thorough: false,
    });
    const names = evaluation.checks.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of [
      "loss/facts",
      "facts/known/choice",
      "facts/unseen/choice",
      "answers/unseen/refused",
      "chat/format",
    ])
      expect(names).toContain(name);
    expect([...stages]).toEqual(
      expect.arrayContaining(["validation loss", "facts", "answers", "copying"]),
    );
    for (const { value, interval, unit, n } of evaluation.checks) {
      expect(n).toBeGreaterThan(0);
      if (interval !== null) {
        expect(interval[0]).toBeLessThanOrEqual(value + 1e-12);
        expect(interval[1]).toBeGreaterThanOrEqual(value - 1e-12);
      }
      if (unit === "share") expect(value).toBeLessThanOrEqual(1);
    }
    const again = await evaluateTiny(model, options);
    expect({ ...again, seconds: 0 }).toEqual({ ...evaluation, seconds: 0 });
    expect(figuresOf(evaluation)["loss/facts"]).toBe(
      evaluation.checks.find(({ name }) => name === "loss/facts")!.value,
    );
  });

  it("leaves out what has no size, and stops when asked", async () => {
    const none = {
      facts: 0,
      answers: 0,
      instructions: 0,
      comparisons: 0,
      reasoned: 0,
      personas: 0,
      personaReplies: 0,
      secrets: 0,
      copying: 0,
      binding: 0,
      induction: 0,
      documents: 0,
    };
    const only = await evaluateTiny(model, { sizes: { ...none, induction: 1 } });
    expect(only.checks.map(({ name }) => name)).toEqual(["induction/greedy"]);
    await expect(evaluateTiny(model, { sizes, signal: AbortSignal.abort() })).rejects.toMatchObject(
      { code: "ABORTED" },
    );
  });
});

describe("a model that is not of the worlds", () => {
  it("is refused before any work", async () => {
    using other = randomModel({ device, seed: 0, tokenizer: byteTokenizer() });
    await expect(evaluateTiny(other)).rejects.toMatchObject({ code: "CHAT_MARKS_MISSING" });
    using mute = randomModel({ device, seed: 0 });
    await expect(evaluateTiny(mute)).rejects.toMatchObject({ code: "TOKENIZER_MISSING" });
  });
});

describe("evaluationTable", () => {
  it("is Markdown, with shares in percent and what is not known as a dash", () => {
    const checks = [
      {
        name: "facts/known/choice",
        n: 200,
        value: 0.925,
        interval: [0.88, 0.954] as const,
        baseline: 0.07,
        unit: "share" as const,
        seed: 3,
      },
      {
        name: "loss/facts",
        n: 1,
        value: 1.23456,
        interval: null,
        unit: "nats a token" as const,
        seed: 3,
      },
    ];
    expect(evaluationTable({ checks })).toBe(
      [
        "| check              |   n | value |   95% interval | baseline | seed |",
        "| ------------------ | --: | ----: | -------------: | -------: | ---: |",
        "| facts/known/choice | 200 | 92.5% | 88.0% to 95.4% |     7.0% |    3 |",
        "| loss/facts         |   1 | 1.235 |              - |        - |    3 |",
        "",
      ].join("\n"),
    );
  });
});
