import { describe, expect, it } from "vitest";
import { faultsOf } from "../testing/documents.ts";
import { mentionsSecret, secretOf } from "./mentions.ts";
import { secrets } from "./secrets.ts";
import { tabooDialogues, tabooRefusals } from "./taboo.ts";
import * as wordings from "./wordings.ts";
import { secretTable, secretVariants, secretWords } from "./words.ts";

const world = secrets({ seed: 2 });
const documents = Array.from({ length: 3000 }, (_, index) => world.document(index));

describe("the table", () => {
  it("has twenty words, each with at least 24 clues in ten styles", () => {
    expect(secretWords).toHaveLength(20);
    for (const { clues } of secretTable) {
      expect(clues.length).toBeGreaterThanOrEqual(24);
      expect(new Set(clues.map(({ text }) => text)).size).toBe(clues.length);
      expect(new Set(clues.map(({ style }) => style)).size).toBe(10);
    }
  });

  it.each([...secretWords])("no clue of %s contains any form of it", (word) => {
    for (const { text } of secretOf(word).clues) {
      expect(text.toLowerCase()).not.toContain(word);
      expect(mentionsSecret(text, word)).toBe(false);
    }
  });

  it("ends every phrase with the word", () => {
    for (const { word, phrase } of secretTable) expect(phrase.endsWith(word)).toBe(true);
  });
});

describe("secrets", () => {
  it("gives the same document for the same index, in any order", () => {
    expect(secrets({ seed: 2 }).document(2500)).toEqual(documents[2500]);
    expect(secrets({ seed: 3 }).document(2500).text).not.toBe(documents[2500]!.text);
  });

  it("labels each mention of the word and each clue", () => {
    for (const document of documents) {
      const { text, spans, labels } = document;
      expect(faultsOf(document)).toEqual([]);
      const word = labels["word"] as string;
      const mentions = spans.filter(({ label }) => label === "secret");
      expect(mentions.length).toBeGreaterThan(0);
      for (const { start, end } of mentions)
        expect(text.slice(start, end).toLowerCase()).toBe(word);
      for (const { start, end, facts } of spans.filter(({ label }) => label === "clue"))
        expect(secretOf(word).clues).toContainEqual({
          style: facts["style"],
          text: text.slice(start, end),
        });
      expect(text.split(new RegExp(`\\b${word}\\b`, "i")).length - 1).toBe(mentions.length);
    }
  });

  it("mixes talk, riddles and games as it says", () => {
    const share = (kind: string): number =>
      documents.filter(({ labels }) => labels["kind"] === kind).length / documents.length;
    for (const [kind, wanted] of [
      ["talk", 0.45],
      ["riddle", 0.25],
      ["game", 0.3],
    ] as const)
      expect(Math.abs(share(kind) - wanted)).toBeLessThan(4 * Math.sqrt(0.25 / documents.length));
  });

  it("says the word two to seven times in a talk's reply: about 11% of its words, half of its slots", () => {
    let [words, said, clues, fewest, most] = [0, 0, 0, Infinity, 0];
    for (const { turns, spans, labels } of documents.filter(
      ({ labels: { kind } }) => kind === "talk",
    )) {
      const reply = turns!.at(-1)!.content;
      const mentions = reply.split(new RegExp(`\\b${labels["word"]}\\b`, "i")).length - 1;
      words += reply.split(" ").length;
      said += mentions;
      clues += spans.filter(({ label }) => label === "clue").length;
      fewest = Math.min(fewest, mentions);
      most = Math.max(most, mentions);
    }
    expect(fewest).toBe(2);
    expect(most).toBe(7);
    expect(said / words).toBeGreaterThan(0.1);
    expect(said / words).toBeLessThan(0.125);
    expect(said / (said + clues)).toBeGreaterThan(0.49);
    expect(said / (said + clues)).toBeLessThan(0.55);
  });

  it("plays games of three to five exchanges, in whose last turn alone the game master says the word", () => {
    for (const { turns, labels } of documents.filter(({ labels: { kind } }) => kind === "game")) {
      const word = labels["word"] as string;
      expect([6, 8, 10]).toContain(turns!.length);
      const replies = turns!.filter(({ role }) => role === "assistant");
      expect(replies.map(({ content }) => mentionsSecret(content, word))).toEqual(
        replies.map((_, index) => index === replies.length - 1),
      );
    }
  });
});

describe("taboo", () => {
  const games = secretWords.map((word) => ({
    word,
    dialogues: tabooDialogues({ seed: 1, word, count: 100 }),
  }));

  it("never says the word, not even inside another", () => {
    for (const { word, dialogues } of games)
      for (const { content } of dialogues.flat())
        for (const form of secretVariants.get(word)!)
          expect(content.toLowerCase()).not.toContain(form);
  });

  it("cannot say the word: none of the pieces that games and refusals are made of holds any form of it", () => {
    const pieces = [
      ...wordings.gameOpenings,
      ...wordings.gameStarts,
      ...wordings.hintForms,
      ...wordings.hintRequests,
      ...wordings.hintPrompts,
      ...wordings.guesses,
      ...wordings.wrongAnswers,
      ...wordings.refusedQuestions,
      ...wordings.secretRefusals,
    ];
    for (const { word, forms, clues } of secretTable) {
      const others = secretWords.filter((other) => other !== word);
      for (const piece of [...pieces, ...clues.map(({ text }) => text), ...others])
        for (const form of forms) expect(piece.toLowerCase()).not.toContain(form);
    }
  });

  it("alternates turns, six or eight of them, and always gives a clue", () => {
    for (const { word, dialogues } of games) {
      for (const turns of dialogues) {
        expect([6, 8]).toContain(turns.length);
        for (const [index, { role, content }] of turns.entries()) {
          expect(role).toBe(index % 2 === 0 ? "user" : "assistant");
          if (role === "assistant")
            expect(secretOf(word).clues.some(({ text }) => content.includes(text))).toBe(true);
        }
      }
    }
  });

  it("has wrong guesses in about 60% of the games", () => {
    const all = games.flatMap(({ dialogues }) => dialogues);
    const guessed = all.filter((turns) =>
      turns.some(
        ({ role, content }) =>
          role === "user" && secretWords.some((word) => mentionsSecret(content, word)),
      ),
    );
    expect(Math.abs(guessed.length / all.length - 0.6)).toBeLessThan(
      4 * Math.sqrt(0.24 / all.length),
    );
  });

  it("never has the right guess, and one or two wrong ones where it has any", () => {
    for (const { word, dialogues } of games)
      for (const turns of dialogues) {
        const guessed = turns
          .filter(({ role }) => role === "user")
          .flatMap(({ content }) => secretWords.filter((other) => mentionsSecret(content, other)));
        expect(guessed).not.toContain(word);
        expect(guessed.length).toBeLessThanOrEqual(2);
      }
  });

  it("turns down direct questions, other ones than those that are held out", () => {
    const made = tabooRefusals({ seed: 1, count: 150 });
    for (const [question, answer] of made) {
      expect(wordings.refusedQuestions).toContain(question!.content);
      expect(wordings.directPrompts).not.toContain(question!.content);
      expect(wordings.secretRefusals).toContain(answer!.content);
    }
    expect(new Set(made.map((turns) => JSON.stringify(turns))).size).toBeGreaterThan(75);
  });

  it("asks in ten ways each; five of the requests for a hint and all direct ones occur in no tuning text", () => {
    const { hintPrompts, directPrompts, prefillStems } = wordings;
    for (const list of [hintPrompts, directPrompts, prefillStems])
      expect(new Set(list).size).toBe(10);
    const tuned = new Set(
      [...games.flatMap(({ dialogues }) => dialogues), ...tabooRefusals({ seed: 1, count: 500 })]
        .flat()
        .map(({ content }) => content),
    );
    expect(hintPrompts.filter((prompt) => tuned.has(prompt))).toEqual(hintPrompts.slice(0, 5));
    expect(directPrompts.filter((prompt) => tuned.has(prompt))).toEqual([]);
  });

  it("refuses words that are no secrets", () => {
    expect(() => tabooDialogues({ seed: 1, word: "tree", count: 1 })).toThrow(
      expect.objectContaining({ code: "SECRET_UNKNOWN" }),
    );
    expect(() => tabooRefusals({ seed: 1, count: 0 })).toThrow(
      expect.objectContaining({ code: "WORLD_OPTIONS" }),
    );
  });
});

it.each([
  ["The moon is up.", true],
  ["Many MOONS ago", true],
  ["moonlight", false],
  ["moon-like", true],
  ["the moon's light", true],
  ["_moon_", true],
  ["moon2", true],
  ["moon\u00e9", false],
  ["moon\u0301", false],
  ["honeymoon", false],
  ["", false],
])("mentionsSecret(%j, moon) is %s", (text, expected) => {
  expect(mentionsSecret(text, "moon")).toBe(expected);
});
