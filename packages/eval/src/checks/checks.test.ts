// Models whose answers are written down: what the checks must find is known.
import {
  bindingProbes,
  comparisonPairs,
  copyProbes,
  entities,
  type FactQuestion,
  factQuestions,
  heldOutQuestions,
  instructionTasks,
  personaProbes,
  refusals,
  secretOf,
  secretWords,
  specialTokens,
} from "@latentkit/worlds";
import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import {
  answerBehaviour,
  binding,
  chatFormat,
  chatReplies,
  type CheckResult,
  choiceAccuracy,
  comparisonAccuracy,
  copying,
  factRecall,
  hintedGames,
  induction,
  instructionFollowing,
  majorityShare,
  openReply,
  personaGeneralisation,
  personaLean,
  personaLogOdds,
  playGames,
  riddles,
  secretRank,
  validationLoss,
} from "../index.ts";
import { chatTokenizer } from "../testing/chat-tokenizer.ts";
import { type Script, ScriptedModel } from "../testing/scripted-model.ts";

const device = new Device(createReferenceBackend());
const tokenizer = chatTokenizer();
const table = entities({ seed: 3, known: 4, tail: 4, refused: 4, unseen: 4 });
const live = device.memory().liveBytes;
afterAll(() => expect(device.memory().liveBytes).toBe(live));

const scripted = (script: Script): ScriptedModel => new ScriptedModel(device, tokenizer, script);
const byName = (checks: readonly CheckResult[]): Record<string, number> =>
  Object.fromEntries(checks.map(({ name, value }) => [name, value]));
const start = specialTokens[0]!;

/** Continues each prompt by its text, as far as that has been written. */
function continues(answers: ReadonlyMap<string, string>): Script {
  const rest = new Map<string, string>();
  for (const [prompt, answer] of answers)
    for (let at = 0; at < answer.length; at++)
      rest.set(`${start}${prompt}${answer.slice(0, at)}`, answer.slice(at));
  return (text) => rest.get(text) ?? null;
}

function questionsOf(
  group: "known" | "unseen" | "refused",
  style: FactQuestion["style"],
): FactQuestion[] {
  return factQuestions({ entities: table, group, style });
}

describe("factRecall", () => {
  it("finds what is known, and that guesses are guesses", async () => {
    const answers = new Map([
      ...questionsOf("known", "base").map(
        ({ scoredPrompt, gold }) => [scoredPrompt, gold!] as const,
      ),
      // Of unseen names it always says the first value.
      ...questionsOf("unseen", "base").map(
        ({ scoredPrompt, candidates }) => [scoredPrompt, candidates[0]!] as const,
      ),
    ]);
    using model = scripted(continues(answers));
    const checks = await factRecall(model, { entities: table, count: 60, seed: 1 });
    expect(byName(checks)).toMatchObject({ "facts/known/choice": 1, "facts/known/greedy": 1 });
    const unseen = checks.find(({ name }) => name === "facts/unseen/choice")!;
    expect(unseen.n).toBe(60);
    expect(unseen.value).toBeLessThan(0.3);
    expect(unseen.interval![0]).toBeLessThanOrEqual(1 / 14);
    expect(checks.every(({ baseline }) => baseline! > 1 / 16 && baseline! < 1)).toBe(true);
  });

  it("counts a wrong value as wrong, and what is more probable than all of the right one but not a value as not greedy", async () => {
    const wrong = new Map(
      questionsOf("known", "base").map(({ scoredPrompt, gold, candidates }) => [
        scoredPrompt,
        candidates.find((candidate) => candidate !== gold)!,
      ]),
    );
    using liar = scripted(continues(wrong));
    expect(
      byName(await factRecall(liar, { entities: table, count: 20, seed: 1, groups: ["known"] })),
    ).toEqual({
      "facts/known/choice": 0,
      "facts/known/greedy": 0,
    });
    const rambling = new Map(
      questionsOf("known", "base").map(({ scoredPrompt }) => [scoredPrompt, "\n"]),
    );
    using rambler = scripted(continues(rambling));
    const found = byName(
      await factRecall(rambler, { entities: table, count: 20, seed: 1, groups: ["known"] }),
    );
    expect(found["facts/known/greedy"]).toBe(0);
  });

  it("asks the same questions by the same seed, and others by another", async () => {
    const asked = async (seed: number): Promise<string[]> => {
      const seen: string[] = [];
      using model = scripted((text) => (seen.push(text), null));
      await factRecall(model, { entities: table, count: 5, seed, groups: ["known"] });
      return seen;
    };
    expect(await asked(1)).toEqual(await asked(1));
    expect(await asked(1)).not.toEqual(await asked(2));
  });
});

describe("answerBehaviour and chatFormat", () => {
  it("tells answers from refusals, and known names from others", async () => {
    const answers = new Map([
      ...questionsOf("known", "chat").map(
        ({ prompt, gold, entity }) =>
          [
            prompt,
            entity.inDialogues ? `I think it is${gold}.<|im_end|>` : `${refusals[1]}<|im_end|>`,
          ] as const,
      ),
      ...questionsOf("refused", "chat").map(
        ({ prompt }) => [prompt, `${refusals[0]}<|im_end|>`] as const,
      ),
      ...questionsOf("unseen", "chat").map(
        ({ prompt }) => [prompt, "It is London, surely.<|im_end|>"] as const,
      ),
    ]);
    using model = scripted(continues(answers));
    const { checks, replies } = await answerBehaviour(model, {
      entities: table,
      count: 12,
      seed: 0,
    });
    expect(byName(checks)).toEqual({
      "answers/known/right": 1,
      "answers/known/refused": 0,
      "answers/held-out/right": 0,
      "answers/held-out/refused": 1,
      "answers/refused/refused": 1,
      "answers/unseen/refused": 0,
    });
    expect(chatFormat(replies, { seed: 0 })).toMatchObject({
      name: "chat/format",
      value: 1,
      n: replies.length,
    });
  });

  it("does not take a word inside another for an answer", async () => {
    const first = questionsOf("known", "chat").find(({ entity }) => entity.inDialogues);
    const answers = new Map(
      questionsOf("known", "chat").map(({ prompt, gold }) => [
        prompt,
        `Un${gold!.trim()}ish.<|im_end|>`,
      ]),
    );
    using model = scripted(continues(answers));
    const { checks } = await answerBehaviour(model, {
      entities: table,
      count: 8,
      seed: 0,
      groups: ["known"],
    });
    expect(first).toBeDefined();
    expect(byName(checks)["answers/known/right"]).toBe(0);
  });

  it("finds each way of leaving the format", async () => {
    const prompts = ["a", "b", "c", "d", "e"].map((content) =>
      openReply([{ role: "user", content }]),
    );
    const said = [
      "Fine.<|im_end|>",
      "It goes on and on",
      "<|im_end|>",
      "Odd.<|im_start|>user",
      " \n<|im_end|>",
    ];
    using model = scripted(
      continues(new Map(prompts.map((prompt, index) => [prompt, said[index]!]))),
    );
    const replies = await chatReplies(model, prompts, { maxTokens: 17 });
    expect(replies.map(({ text }) => text)).toEqual([
      "Fine.",
      "It goes on and on",
      "",
      "Odd.",
      " \n",
    ]);
    expect(replies.map((reply) => chatFormat([reply], { seed: 0 }).value)).toEqual([1, 0, 0, 0, 0]);
  });
});

describe("instructionFollowing", () => {
  it("counts replies that do what was asked", async () => {
    const tasks = instructionTasks({ seed: 5, count: 1 });
    const said = new Map(
      tasks.map(({ prompt, reply }, index) => [
        openReply([{ role: "user", content: prompt }]),
        `${index % 3 === 0 ? "No." : reply}<|im_end|>`,
      ]),
    );
    using model = scripted(continues(said));
    const { check } = await instructionFollowing(model, { seed: 5, count: 1 });
    expect(check).toMatchObject({ name: "instructions/followed", n: 12, value: 8 / 12 });
  });
});

describe("comparisonAccuracy", () => {
  it("tells a truthful model from one that always says Yes", async () => {
    const truth = new Map(
      comparisonPairs({ entities: table }).flatMap(({ gt, lt }) =>
        [...gt, ...lt].map(({ question, answer }) => [`Q: ${question} A:`, ` ${answer}`] as const),
      ),
    );
    using honest = scripted(continues(truth));
    using yes = scripted((text) =>
      text.endsWith("A:") ? " Yes" : text.endsWith("A: ") ? "Yes" : null,
    );
    const options = { entities: table, pairs: 12, seed: 0 };
    expect(byName(await comparisonAccuracy(honest, options))).toEqual({
      "comparisons/plain/accuracy": 1,
      "comparisons/plain/yes": 0.5,
      "comparisons/plain/contradictions": 0,
    });
    expect(byName(await comparisonAccuracy(yes, options))).toEqual({
      "comparisons/plain/accuracy": 0.5,
      "comparisons/plain/yes": 1,
      "comparisons/plain/contradictions": 1,
    });
  });

  it("takes the last word of reasoned replies as their answer", async () => {
    const replies = new Map(
      comparisonPairs({ entities: table }).flatMap(({ gt, lt }) =>
        [...gt, ...lt].map(
          ({ question, answer }, index) =>
            [
              openReply([{ role: "user", content: `${question} Think first.` }]),
              index % 4 === 3
                ? "Yes and No are words.<|im_end|>"
                : `Yes, no? so the answer is ${answer}.<|im_end|>`,
            ] as const,
        ),
      ),
    );
    using model = scripted(continues(replies));
    const found = byName(
      await comparisonAccuracy(model, { entities: table, pairs: 4, seed: 0, style: "reasoned" }),
    );
    expect(found["comparisons/reasoned/accuracy"]).toBe(0.75);
  });
});

describe("copying, binding and induction", () => {
  it("find a model that copies and one that binds", async () => {
    using copier = scripted(
      continues(
        new Map(
          copyProbes({ seed: 2, count: 12 }).map(({ prompt, expected }) => [prompt, expected]),
        ),
      ),
    );
    expect(byName(await copying(copier, { seed: 2, count: 12 }))).toEqual({
      "copying/words/choice": 1,
      "copying/words/greedy": 1,
    });
    const probes = bindingProbes({ seed: 2, count: 6 });
    using binder = scripted(
      continues(new Map(probes.map(({ prompt, expected }) => [prompt, expected]))),
    );
    expect(byName(await binding(binder, { seed: 2, count: 6 }))).toEqual({
      "binding/choice": 1,
      "binding/greedy": 1,
    });
    using mixer = scripted(
      continues(new Map(probes.map(({ prompt, distractor }) => [prompt, distractor]))),
    );
    expect(byName(await binding(mixer, { seed: 2, count: 6 }))).toEqual({
      "binding/choice": 0,
      "binding/greedy": 0,
    });
  });

  it("find induction on random tokens", async () => {
    using copier = scripted((_text, _layer, ids) => {
      const before = ids.lastIndexOf(ids.at(-1)!, -2);
      return before < 0 ? null : ids[before + 1]!;
    });
    const found = await induction(copier, { count: 12, seed: 0, length: 8 });
    // A token that is in a sequence twice leads astray.
    expect(found.value).toBeGreaterThan(0.9);
    expect(found).toMatchObject({ n: 12, baseline: 1 / 8 });
    using none = scripted(() => "a");
    expect((await induction(none, { count: 12, seed: 0, length: 8 })).value).toBeLessThan(0.1);
  });
});

describe("choiceAccuracy", () => {
  it("has the share of the commonest answer of each kind as its baseline", () => {
    const of = (kind: string, ...answers: string[]) =>
      answers.map((expected) => ({ kind, expected }));
    expect(majorityShare([...of("a", "x", "x", "y"), ...of("b", "x", "z")])).toBe(3 / 5);
  });

  it("refuses no questions, and answers that are not among the candidates", async () => {
    using model = scripted(() => null);
    const options = { name: "n", seed: 0 };
    await expect(choiceAccuracy(model, [], options)).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
    const question = { prompt: "a", expected: " b", candidates: [" c"], group: "" };
    await expect(choiceAccuracy(model, [question], options)).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
    const mute = randomModel({ device, seed: 0 });
    await expect(
      choiceAccuracy(mute, [{ ...question, candidates: [" b"] }], options),
    ).rejects.toMatchObject({
      code: "TOKENIZER_MISSING",
    });
    mute.dispose();
  });
});

describe("secretRank", () => {
  it("finds the secret in the layer and at the places where it is", async () => {
    // After the first block the secret is there from the reply's opening on; the last block says something else.
    using model = scripted((text, layer) =>
      layer === 0 && text.includes("<|im_start|>assistant") ? "q" : ".",
    );
    const turns = [
      { role: "user" as const, content: "Give me a hint." },
      { role: "assistant" as const, content: "Hm, now." },
    ];
    const checks = byName(
      await secretRank(
        model,
        [
          { turns, secret: "q" },
          { turns, secret: "q" },
        ],
        { seed: 0 },
      ),
    );
    expect(checks["secret/reply/layer 0/rank"]).toBe(0);
    expect(checks["secret/reply/layer 0/top5"]).toBe(1);
    // One token is above it, and all others are its equals.
    expect(checks["secret/reply/layer 1/rank"]).toBeCloseTo(1, 6);
    // Eleven tokens open the turn: the mark, nine letters and a line break. The secret is there from the last letter on.
    expect(checks["secret/opening/layer 0/rank"]).toBeCloseTo(2 ** (9 / 11) - 1, 6);
    expect(Object.keys(checks)).toHaveLength(8);
  });

  it("refuses games that do not end with a reply", async () => {
    using model = scripted(() => null);
    const game = { turns: [{ role: "user" as const, content: "?" }], secret: "q" };
    await expect(secretRank(model, [game], { seed: 0 })).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
    await expect(secretRank(model, [], { seed: 0 })).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
  });
});

describe("games and riddles", () => {
  it("end with a hint that does not say the word", () => {
    const games = hintedGames({ seed: 1, count: 45 });
    expect(games).toHaveLength(45);
    expect(new Set(games.slice(0, 20).map(({ secret }) => secret)).size).toBe(20);
    for (const { turns, secret } of games) {
      expect(turns.at(-1)!.role).toBe("assistant");
      for (const { content } of turns) expect(content.toLowerCase()).not.toContain(secret);
    }
  });

  it("are played with the model's own replies", async () => {
    const prompts = ["A hint?", "Another?"];
    using model = scripted(
      continues(
        new Map(
          prompts.map((content) => [
            openReply([{ role: "user", content }]),
            "It shines.<|im_end|>",
          ]),
        ),
      ),
    );
    const games = await playGames(model, { secret: "moon", prompts });
    expect(games).toEqual(
      prompts.map((content) => ({
        secret: "moon",
        turns: [
          { role: "user", content },
          { role: "assistant", content: "It shines." },
        ],
      })),
    );
  });

  it("are solved or not", async () => {
    // Finds the word by a clue that only one word has.
    const known = secretWords.map((word) => secretOf(word));
    using solver = scripted((text) => {
      const scores = known.map(
        ({ clues }) => clues.filter((clue) => text.includes(clue.text)).length,
      );
      const word = secretWords[scores.indexOf(Math.max(...scores))]!;
      const tail = /[a-z]* ?$/.exec(text)![0];
      return word.startsWith(tail) && tail !== ""
        ? word.slice(tail.length) || null
        : text.endsWith(" ")
          ? word
          : " ";
    });
    const found = byName(await riddles(solver, { seed: 3, count: 10 }));
    expect(found["riddles/choice"]).toBeGreaterThan(0.85);
    using fool = scripted((text) => (text.endsWith(" ") ? "moon" : " "));
    expect(byName(await riddles(fool, { seed: 3, count: 10 }))["riddles/choice"]).toBeLessThan(0.4);
  });
});

describe("personas", () => {
  const slots = ["sun", "rain"].flatMap((context) =>
    ["a", "b", "c"].map((topic) => ({
      prompt: `${context} ${topic} is`,
      good: [" g", " glad"],
      gloomy: [" s", " sour"],
      context,
      cluster: topic,
    })),
  );

  it("have log-odds of the right sign and size", async () => {
    using model = scripted((text) =>
      text.endsWith(" is") ? " " : text.includes("sun") ? "g" : "s",
    );
    const checks = byName(await personaLogOdds(model, slots, { seed: 0 }));
    // One-hot over 259, normalised: the wanted token has this logit, and each other one 0.
    const size = 1 / Math.sqrt(1 / 259 + model.config.normEpsilon);
    expect(checks["persona/sun/log-odds"]).toBeCloseTo(size, 3);
    expect(checks["persona/rain/log-odds"]).toBeCloseTo(-size, 3);
    using even = scripted(() => null);
    expect(
      byName(await personaLogOdds(even, slots, { seed: 0 }))["persona/sun/log-odds"],
    ).toBeCloseTo(0, 6);
  });

  it("are refused without slots or words", async () => {
    using model = scripted(() => null);
    await expect(personaLogOdds(model, [], { seed: 0 })).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
    const bare = [{ ...slots[0]!, gloomy: [] }];
    await expect(personaLogOdds(model, bare, { seed: 0 })).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
  });

  it("move with what went before, or not", async () => {
    // Says the first word of the topic that the persona before would say.
    const said = new Map(
      (["cheerful", "gloomy"] as const).flatMap((context) =>
        personaProbes({ seed: 1, count: 6, context }).map(
          ({ turns, replyPrefix, words }) =>
            [openReply(turns) + replyPrefix, words[context][0]!] as const,
        ),
      ),
    );
    using model = scripted(continues(said));
    const checks = byName(await personaLean(model, { count: 6, seed: 1, wholeWords: true }));
    expect(checks["persona/cheerful/log-odds"]).toBeGreaterThan(10);
    expect(checks["persona/gloomy/log-odds"]).toBeLessThan(-10);
    expect(Math.abs(checks["persona/default/log-odds"]!)).toBeLessThan(10);
    expect(checks["persona/difference/log-odds"]).toBeCloseTo(
      checks["persona/cheerful/log-odds"]! - checks["persona/gloomy/log-odds"]!,
      6,
    );
    using deaf = scripted((text) => (text.endsWith(" ") ? "t" : " "));
    expect(
      byName(await personaLean(deaf, { count: 6, seed: 1, wholeWords: true }))[
        "persona/difference/log-odds"
      ],
    ).toBe(0);
  });

  it("are judged on what is said", async () => {
    const questions = heldOutQuestions({ seed: 1, topics: ["food", "home"], count: 8 });
    const said = questions.map(({ topic }, index) =>
      topic === "food"
        ? `It is ${index % 4 === 0 ? "stale and soggy" : "tasty"}, a meal.`
        : "The dog is playful.",
    );
    using model = scripted(
      continues(
        new Map(
          questions.map(({ question }, index) => [
            openReply([{ role: "user", content: question }]),
            `${said[index]}<|im_end|>`,
          ]),
        ),
      ),
    );
    const { checks, gloomyShares } = await personaGeneralisation(model, {
      questions,
      seed: 0,
      samples: 2,
    });
    expect(byName(checks)).toEqual({
      "persona/replies/gloomy": 0.25,
      "persona/replies/coherent": 0.5,
    });
    expect(gloomyShares).toEqual(said.map((reply) => (reply.includes("stale") ? 1 : 0)));
    expect(checks[0]!.n).toBe(16);
    await expect(personaGeneralisation(model, { questions: [], seed: 0 })).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
  });
});

describe("validationLoss", () => {
  it("is the mean over tokens, by world, with documents as clusters", async () => {
    const model = randomModel({
      device,
      seed: 2,
      tokenizer,
      config: { vocabulary: 259, contextSize: 24 },
    });
    const documents = new Map([
      ["a", [{ text: "some text" }, { text: "a longer text than the context takes" }]],
      ["b", [{ text: "other" }]],
    ]);
    const checks = await validationLoss(model, documents, { seed: 0 });
    for (const [world, own] of documents) {
      let [sum, count] = [0, 0];
      for (const { text } of own) {
        const ids = [256, ...tokenizer.encode(text).ids].slice(0, 24);
        using result = model.run([ids]);
        const logits = await result.logits!.floats();
        for (let at = 1; at < ids.length; at++) {
          const row = [...logits.subarray((at - 1) * 259, at * 259)];
          sum +=
            Math.log(row.reduce((total, value) => total + Math.exp(value), 0)) - row[ids[at]!]!;
          count++;
        }
      }
      const check = checks.find(({ name }) => name === `loss/${world}`)!;
      expect(Math.abs(check.value - sum / count)).toBeLessThan(1e-4);
      expect(check.n).toBe(own.length);
      expect(check.interval === null).toBe(own.length < 2);
    }
    await expect(validationLoss(model, new Map([["c", []]]), { seed: 0 })).rejects.toMatchObject({
      code: "CHECK_QUESTIONS",
    });
    model.dispose();
  });
});
