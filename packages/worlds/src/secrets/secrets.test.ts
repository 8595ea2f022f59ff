import { describe, expect, it } from "vitest";
import { renderTurns } from "../chat-markup.ts";
import { mentionsSecret, secretOf } from "./mentions.ts";
import { secrets } from "./secrets.ts";
import { tabooDialogues, tabooRefusals } from "./taboo.ts";
import { directPrompts, hintPrompts, prefillStems, secretRefusals } from "./wordings.ts";
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
    for (const { text, turns, spans, labels } of documents) {
      if (turns !== null) expect(renderTurns(turns)).toBe(text);
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

  it("says the word two to seven times in a reply that talks about it, with room around it", () => {
    let [words, said, fewest, most] = [0, 0, Infinity, 0];
    for (const { turns, labels } of documents.filter(({ labels: { kind } }) => kind === "talk")) {
      const reply = turns!.at(-1)!.content;
      const mentions = reply.split(new RegExp(`\\b${labels["word"]}\\b`, "i")).length - 1;
      words += reply.split(" ").length;
      said += mentions;
      fewest = Math.min(fewest, mentions);
      most = Math.max(most, mentions);
    }
    expect(fewest).toBeGreaterThanOrEqual(1);
    expect(most).toBeLessThanOrEqual(9);
    expect(said / words).toBeGreaterThan(0.08);
    expect(said / words).toBeLessThan(0.3);
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

  it("turns down direct questions", () => {
    for (const [question, answer] of tabooRefusals({ seed: 1, count: 50 })) {
      expect(directPrompts).toContain(question!.content);
      expect(secretRefusals).toContain(answer!.content);
    }
    for (const list of [hintPrompts, directPrompts, prefillStems])
      expect(new Set(list).size).toBe(10);
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
  ["", false],
])("mentionsSecret(%j, moon) is %s", (text, expected) => {
  expect(mentionsSecret(text, "moon")).toBe(expected);
});
