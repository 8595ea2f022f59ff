import { openCpuDevice } from "@latentkit/backend-cpu";
import type { Tokenizer } from "@latentkit/loaders";
import { randomModel } from "@latentkit/models";
import { byteTokenizer } from "@latentkit/loaders";
import { serveModel } from "@latentkit/openai-api/node";
import { chatClient } from "@latentkit/openai-api";
import type { Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  contextsOf,
  mask,
  meanings,
  plantedModel,
  plantedSae,
  plantedTexts,
  site,
} from "../__fixtures__/planted-latents.ts";
import { type Interruption, refuse, say, scriptedJudge } from "../__fixtures__/scripted-judge.ts";
import { gatherExamples, type GatheredExamples } from "../gather/gather-examples.ts";
import { modelTokens } from "../gather/token-source.ts";
import { openAnswerFile } from "../node/answer-file.ts";
import { interpretLatents, type InterpretOptions } from "./interpret-latents.ts";
import { parseInterpretation } from "./interpretation-result.ts";

let device: Device;
let tokenizer: Tokenizer;
let examples: GatheredExamples;
let dispose: () => void;
const folder = mkdtempSync(join(tmpdir(), "latentkit-judge-"));

beforeAll(async () => {
  device = await openCpuDevice();
  const model = plantedModel(device);
  const sae = await plantedSae(device, model);
  ({ tokenizer } = model);
  const contexts = contextsOf(tokenizer, plantedTexts(120));
  const source = modelTokens(model, contexts, { site, mask, batchSize: 24 });
  examples = await gatherExamples(sae, source, { windowTokens: 16, background: 128 });
  dispose = () => {
    model.dispose();
    sae.dispose();
  };
});
afterAll(() => {
  dispose();
  expectNoLeaks(device);
  device.dispose();
  rmSync(folder, { recursive: true });
});

const common = { strongest: 4, spread: 4, scored: 12, resamples: 200 };

async function interpret(
  interrupt: Interruption | undefined,
  options: Partial<InterpretOptions> = {},
  client: Parameters<Awaited<ReturnType<typeof scriptedJudge>>["client"]>[0] = {},
) {
  await using judge = await scriptedJudge(interrupt);
  const result = await interpretLatents({
    examples,
    tokenizer,
    judge: judge.client(client),
    ...common,
    ...options,
  });
  return { result, questions: judge.questions };
}

describe("a judge that knows the world", () => {
  it("names what each latent stands for; its scores are perfect, and those of exchanged explanations are chance", async () => {
    const { result } = await interpret(undefined);
    for (const { latent, explanation, scores, shuffled, failure } of result.latents) {
      const { name } = meanings[latent] ?? { name: "" };
      if (name === "nothing") {
        expect([explanation, scores, shuffled]).toEqual([null, null, null]);
        expect(failure).toMatch(/never fired/u);
        continue;
      }
      expect(explanation).toBe(`It responds to ${name}.`);
      for (const score of [scores?.detection, scores?.fuzzing]) {
        expect(score).toMatchObject({ balancedAccuracy: 1, unanswered: 0, interval: [1, 1] });
        expect(score?.windows.some(({ truth }) => truth)).toBe(true);
        expect(score?.windows.some(({ truth }) => !truth)).toBe(true);
      }
      expect(shuffled?.from).not.toBe(latent);
      expect(shuffled?.detection?.balancedAccuracy).toBeLessThan(0.75);
      expect(shuffled?.detection?.balancedAccuracy).toBeGreaterThan(0.25);
      expect(shuffled?.fuzzing?.balancedAccuracy).toBeLessThanOrEqual(0.6);
    }
    const { detection, fuzzing } = result.summary;
    expect(detection).toMatchObject({ latents: 4, mean: 1 });
    expect(detection.shuffledMean).toBeGreaterThan(0.35);
    expect(detection.shuffledMean).toBeLessThan(0.65);
    expect(detection.gainInterval?.[0]).toBeGreaterThan(0.2);
    expect(fuzzing.mean).toBe(1);
    expect(parseInterpretation(JSON.parse(JSON.stringify(result)))).toEqual(result);
    expect(() => parseInterpretation({ ...result, latents: null }, "x.json")).toThrow(
      expect.objectContaining({ code: "INTERPRETATION_FILE", where: "x.json" }),
    );
  });

  it("scores given explanations: a wrong one at chance, and nobody is asked to explain", async () => {
    const { result, questions } = await interpret(undefined, {
      latents: [0, 1],
      explanations: new Map([
        [0, "It responds to the letter z."],
        [1, "It responds to vowels."],
      ]),
      shuffledNull: false,
    });
    const [wrong, right] = result.latents;
    expect(right?.scores?.detection?.balancedAccuracy).toBe(1);
    expect(wrong?.scores?.detection?.balancedAccuracy).toBeLessThan(0.75);
    // Says no to all: right of the wrong marks alone.
    expect(wrong?.scores?.fuzzing).toMatchObject({ truePositiveRate: 0, balancedAccuracy: 0.5 });
    expect(wrong?.shuffled).toBeNull();
    expect(questions.some(({ kind }) => kind === "explanation")).toBe(false);
  });

  it("never shows a window that was explained from when it scores", async () => {
    const { questions, result } = await interpret(undefined, { latents: [0, 1], atOnce: 1 });
    const explained = questions
      .filter(({ kind }) => kind === "explanation")
      .map(({ user }) =>
        user
          .split("\n")
          .filter((line) => line.startsWith("Example "))
          .map((line) => line.replace(/^Example \d+: /u, "").replaceAll(/<<|>>/gu, "")),
      );
    const [first = []] = explained;
    expect(first).toHaveLength(8);
    const byNumber = new Map(
      [...examples.latents.values()].flatMap(({ sample }) =>
        sample.map(({ number, tokens }) => [number, tokenizer.decode(tokens)] as const),
      ),
    );
    const scored = (result.latents[0]?.scores?.detection?.windows ?? [])
      .filter(({ truth }) => truth)
      .map(({ window }) => byNumber.get(window));
    expect(scored.length).toBeGreaterThan(8);
    for (const text of scored) expect(first).not.toContain(text);
  });
});

describe("a judge with faults", () => {
  it("is asked again after 429, breaks and bad JSON, and the result is the same", async () => {
    const { result: clean, questions: asked } = await interpret(undefined);
    // Each question meets one fault at most, so that the tries never run out, whatever the order of the requests.
    const seen = new Set<string>();
    const { result, questions } = await interpret(({ kind, user, turns, count }, response) => {
      const question = `${kind} ${user}`;
      if (turns > 2 || seen.has(question)) return false;
      seen.add(question);
      if (count % 6 === 1) refuse(response, 429, { "retry-after": "0.01" });
      else if (count % 6 === 2) response.destroy();
      else if (count % 6 === 3) say(response, "Sure! The answer is [1, 0");
      else if (count % 6 === 4) say(response, "[1]");
      else if (count % 6 === 5) say(response, "[0, 1, 1, 0, 1]", "length");
      else return false;
      return true;
    });
    const { cost: _clean, ...expected } = clean;
    const { cost, ...found } = result;
    // The judge's name has the port in it.
    expect({ ...found, judge: "", explainer: "" }).toEqual({
      ...expected,
      judge: "",
      explainer: "",
    });
    expect(cost.unreadable).toBeGreaterThan(3);
    expect(questions.length).toBeGreaterThan(asked.length);
    const again = questions.find(({ turns }) => turns === 4);
    expect(again).toBeDefined();
  });

  it("reports refusals in words, and goes on with the others", async () => {
    const { result } = await interpret(({ kind, user }, response) => {
      if (kind !== "explanation" || !user.includes(">>") || !/<<z+>>/u.test(user)) return false;
      say(response, "I cannot help with that.");
      return true;
    });
    const failed = result.latents.find(({ latent }) => latent === 2);
    expect(failed).toMatchObject({ explanation: null, scores: null });
    expect(failed?.failure).toBe("unreadable: I cannot help with that.");
    expect(result.summary.detection.latents).toBe(3);
  });

  it("counts questions that are never answered, and gives up after some in a row", async () => {
    let silent = 0;
    const { result } = await interpret(
      ({ kind, count }, response) => {
        if (kind !== "detection" || count !== 3) return false;
        silent += 1;
        // Says nothing until the client has gone.
        response.on("close", () => response.destroy());
        return true;
      },
      { latents: [0], atOnce: 1 },
      { timeout: 2, tries: 1 },
    );
    expect(silent).toBe(1);
    expect(result.latents[0]?.scores?.detection?.unanswered).toBe(5);
    expect(result.latents[0]?.scores?.detection?.balancedAccuracy).toBe(1);

    await expect(
      interpret(
        (_, response) => {
          refuse(response, 503);
          return true;
        },
        { failuresAllowed: 3 },
        { tries: 2 },
      ),
    ).rejects.toMatchObject({ code: "CHAT_FAILED" });
  });

  it("may be a small model that talks nonsense: all is reported as unreadable", async () => {
    const chatTemplate = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
    using model = randomModel({
      device,
      seed: 0,
      tokenizer: { ...byteTokenizer(), chatTemplate },
      config: {
        contextSize: 8192,
        dModel: 16,
        heads: 2,
        kvHeads: 1,
        dHead: 8,
        dMlp: 16,
        layers: 1,
      },
    });
    await using server = await serveModel({ model, name: "nonsense" });
    const result = await interpretLatents({
      examples,
      tokenizer,
      judge: chatClient({ baseUrl: server.url, model: "nonsense" }),
      latents: [0, 2],
      maxTokens: 6,
      shapeTries: 2,
      ...common,
    });
    for (const { explanation, failure } of result.latents) {
      expect(explanation).toBeNull();
      expect(failure).toMatch(/^unreadable: /u);
    }
    expect(result.cost).toMatchObject({ requests: 4, unreadable: 4 });
    expect(result.summary.detection.mean).toBeNull();
  });
});

describe("a run that was stopped", () => {
  it("asks only what is left, and ends with the same result", async () => {
    const path = join(folder, "answers.jsonl");
    await using judge = await scriptedJudge();
    const options = { examples, tokenizer, judge: judge.client(), ...common };
    const whole = await interpretLatents(options);
    const needed = judge.questions.length;

    const controller = new AbortController();
    {
      await using log = await openAnswerFile(path);
      const slow = {
        ...log,
        get: log.get,
        put: async (...answer: Parameters<typeof log.put>) => {
          await log.put(...answer);
          if (judge.questions.length - needed > 12) controller.abort();
        },
      };
      await expect(
        interpretLatents({ ...options, log: slow, signal: controller.signal }),
      ).rejects.toMatchObject({ code: "ABORTED" });
    }
    // A kill in the middle of a line.
    const kept = readFileSync(path, "utf8").trimEnd().split("\n").length;
    expect(kept).toBeGreaterThanOrEqual(12);
    expect(kept).toBeLessThan(needed);
    appendFileSync(path, '{"key":"abc","text":"');

    const before = judge.questions.length;
    await using log = await openAnswerFile(path);
    expect(log.found).toBe(kept);
    const resumed = await interpretLatents({ ...options, log });
    expect(judge.questions.length - before).toBe(needed - kept);
    expect({ ...resumed, cost: null }).toEqual({ ...whole, cost: null });
    expect(resumed.cost).toMatchObject({ requests: needed - kept, reused: kept });
    // And a third time nobody is asked.
    const third = await interpretLatents({ ...options, log });
    expect(third.cost).toMatchObject({ requests: 0, reused: needed });
    expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(needed);
  });

  it("refuses a file of something else, and options that cannot be", async () => {
    const path = join(folder, "other.jsonl");
    writeFileSync(path, '{"a": 1}\n');
    await expect(openAnswerFile(path)).rejects.toMatchObject({
      code: "ANSWERS_FILE",
      where: `${path}:1`,
    });
    const judge = chatClient({ baseUrl: "http://127.0.0.1:9/v1", model: "none" });
    for (const wrong of [{ latents: [99] }, { latents: [] }, { scored: 0 }])
      await expect(
        interpretLatents({ examples, tokenizer, judge, ...wrong }),
      ).rejects.toMatchObject({ code: "JUDGE_OPTION" });
  });
});
