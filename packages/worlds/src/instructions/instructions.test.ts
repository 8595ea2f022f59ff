import { LatentkitError } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { turnEnd } from "../chat-markup.ts";
import { entities } from "../entities/entities.ts";
import { documentsOf, faultsOf, nameFinder } from "../testing/documents.ts";
import { chiSquareZ } from "../testing/statistics.ts";
import { checkInstruction } from "./check-instruction.ts";
import { instructions, instructionTasks } from "./instructions.ts";
import { instructionKinds, type InstructionTask } from "./tasks.ts";
import { categories, opposites } from "./word-lists.ts";

describe("instructions", () => {
  it("depends on seed and index alone, and labels what it says", () => {
    expect(instructions({ seed: 1 }).document(3)).toEqual(instructions({ seed: 1 }).document(3));
    fc.assert(
      fc.property(fc.integer(), fc.nat(), (seed, index) => {
        expect(faultsOf(instructions({ seed }).document(index))).toEqual([]);
      }),
    );
  });

  it("draws all kinds alike, in one to three exchanges", () => {
    const counts = instructionKinds.map(() => 0);
    for (const { spans, turns, labels, text } of documentsOf(instructions({ seed: 1 }), 6000)) {
      for (const { label, facts } of spans)
        if (label === "reply")
          counts[instructionKinds.findIndex((kind) => kind === facts["kind"])]!++;
      expect(turns).toHaveLength(2 * Number(labels["instructions"]));
      expect(text.length / 3.8).toBeLessThan(200);
    }
    expect(
      Math.abs(
        chiSquareZ(
          counts,
          counts.map(() => 1),
        ),
      ),
    ).toBeLessThan(4);
    const one = instructions({ seed: 1, kinds: ["sum"] }).document(0);
    expect(one.spans.every(({ facts }) => facts["kind"] === "sum")).toBe(true);
  });

  it("names nobody of the facts in 20,000 documents", () => {
    const table = entities({ seed: 1 });
    const finders = (["known", "tail", "refused", "unseen"] as const).map((group) =>
      nameFinder(table, group),
    );
    for (const { text } of documentsOf(instructions({ seed: 1 }), 20_000))
      expect(finders.flatMap((find) => find(text))).toEqual([]);
  });

  it("refuses options that are not", () => {
    expect(() => instructions({ seed: 1, kinds: [] })).toThrow(LatentkitError);
    expect(() => instructionTasks({ seed: 1, count: 0.5 })).toThrow(LatentkitError);
  });
});

describe("checkInstruction", () => {
  const tasks = instructionTasks({ seed: 5, count: 200 });

  it("accepts every reply that the world gives, as generated too", () => {
    expect(tasks).toHaveLength(12 * 200);
    for (const { task, reply } of tasks) {
      expect(checkInstruction(task, reply), reply).toBe(true);
      expect(checkInstruction(task, ` ${reply}${turnEnd}\n`)).toBe(true);
    }
  });

  it("rejects replies to other tasks of the same kind", () => {
    for (const kind of instructionKinds.filter((each) => each !== "greet")) {
      const some = tasks.filter(({ task }) => task.kind === kind);
      const [first] = some;
      const wrong = some.filter(({ reply }) => reply !== first!.reply);
      // Two lists of a category may both be right.
      const accepted = wrong.filter(({ reply }) => checkInstruction(first!.task, reply));
      if (kind === "list") expect(accepted.length).toBeLessThan(wrong.length / 2);
      else expect(accepted).toEqual([]);
      expect(wrong.length).toBeGreaterThan(100);
    }
  });

  it("rejects empty replies, and replies with anything more", () => {
    for (const { task, reply } of tasks) {
      expect(checkInstruction(task, "")).toBe(false);
      expect(checkInstruction(task, `${turnEnd}${reply}`)).toBe(false);
      if (task.kind !== "greet") expect(checkInstruction(task, `Well, ${reply}`)).toBe(false);
    }
  });

  const cases: [InstructionTask, string[], string[]][] = [
    [
      { kind: "repeat", phrase: "the red hat" },
      ["the red hat"],
      ["The red hat", "the red hat.", "red hat"],
    ],
    [{ kind: "capitals", phrase: "the red hat" }, ["THE RED HAT"], ["The Red Hat", "THE RED"]],
    [{ kind: "count", phrase: "a b c", count: 3 }, ["3", "3."], ["4", "three", "33"]],
    [
      { kind: "list", category: "fruits", count: 2, members: categories["fruits"]! },
      ["apple, pear", "Fig, plum."],
      ["apple", "apple, apple", "apple, cow", "apple, pear, fig", "apple pear"],
    ],
    [
      { kind: "reverse", items: ["sun", "boat"] },
      ["boat, sun", "Boat, sun."],
      ["sun, boat", "boat"],
    ],
    [
      { kind: "one-word", question: "What do bees make?", answer: "honey" },
      ["honey", "Honey."],
      ["sweet honey", "wax"],
    ],
    [{ kind: "longer", words: ["sun", "stone"], answer: "stone" }, ["stone"], ["sun", "stone sun"]],
    [{ kind: "opposite", word: "hot", answer: "cold" }, ["cold", "Cold."], ["hot", "not hot"]],
    [{ kind: "sum", terms: [4, 5], sum: 9 }, ["9"], ["10", "-9", "4 + 5"]],
    [
      { kind: "continue", shown: [2, 4, 6, 8], next: [10, 12] },
      ["10, 12", "10,12."],
      ["10", "10, 12, 14", "12, 10"],
    ],
    [{ kind: "spell", word: "sun" }, ["s-u-n", "S-U-N."], ["sun", "s u n", "s-u-n-n"]],
    [
      { kind: "greet", name: "Ned" },
      ["Hello, Ned!", "Good day, dear Ned."],
      ["Hello!", "Ned", "Hello, Nedward!", "Goodbye, Ned"],
    ],
  ];
  it.each(cases)("checks %o exactly", (task, right, wrong) => {
    for (const reply of right) expect(checkInstruction(task, reply), reply).toBe(true);
    for (const reply of wrong) expect(checkInstruction(task, reply), reply).toBe(false);
  });

  it("has tasks that are right themselves", () => {
    for (const { task, prompt } of tasks) {
      if (task.kind === "sum") expect(task.terms[0] + task.terms[1]).toBe(task.sum);
      if (task.kind === "sum") expect(task.sum).toBeLessThan(20);
      if (task.kind === "longer")
        expect(task.words.find((word) => word !== task.answer)!.length).toBeLessThan(
          task.answer.length,
        );
      if (task.kind === "continue")
        expect(task.next[0]! - task.shown[3]!).toBe(task.shown[1]! - task.shown[0]!);
      if (task.kind === "count") expect(prompt).toContain(task.phrase);
    }
    const members = Object.values(categories).flat();
    expect(new Set(members).size).toBe(members.length);
    const words = opposites.flat();
    expect(new Set(words).size).toBe(words.length);
  });
});
