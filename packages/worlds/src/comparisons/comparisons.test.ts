import { LatentkitError } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entities } from "../entities/entities.ts";
import { type EntityType, entityTypes } from "../entities/types.ts";
import { documentsOf, faultsOf, nameFinder } from "../testing/documents.ts";
import { shareZ } from "../testing/statistics.ts";
import { comparisonPairs, type ComparisonQuestion, isHeldOut } from "./comparison-pairs.ts";
import { comparisons } from "./comparisons.ts";

const table = entities({ seed: 1 });
const world = comparisons({ seed: 1, entities: table });
const documents = [...documentsOf(world, 20_000)];
const byName = new Map(table.entities.map((entity) => [entity.name, entity]));
const ordinals: Readonly<Record<EntityType, string>> = {
  people: "born",
  places: "settled",
  works: "published",
  teams: "founded",
};

/** The right answer, worked out from the words alone. */
function answerTo(question: string): "Yes" | "No" {
  const [, x = "", word = "", y = ""] =
    /^(?:Is|Was|Are|Were) (.+?) (?:(?:born|settled|published|founded) )?(\w+)(?: than)? ((?:The )?\w+ \w+)\?$/.exec(
      question,
    )!;
  const [a, b] = [x, y].map((name) => {
    const entity = byName.get(name)!;
    return Number(entity.values[ordinals[entity.type]]);
  });
  const isEarly = ["earlier", "before", "older"].includes(word);
  if (!isEarly) expect(["later", "after", "younger", "newer"]).toContain(word);
  const isEarlier = a! < b!;
  return isEarlier === isEarly ? "Yes" : "No";
}

interface Asked {
  readonly question: string;
  readonly answer: string;
  readonly reasoning: string | null;
  readonly chat: boolean;
  readonly facts: Readonly<Record<string, unknown>>;
}

const asked: Asked[] = documents.flatMap(({ text, spans, labels }) => {
  const covered = (label: string): { at: number; text: string; facts: Asked["facts"] }[] =>
    spans
      .filter((span) => span.label === label)
      .map(({ start, end, facts }) => ({ at: start, text: text.slice(start, end), facts }));
  const reasonings = covered("reasoning");
  const [questions, answers] = [covered("question"), covered("answer")];
  return questions.map((question, number): Asked => {
    const answer = answers[number]!;
    const reasoning = reasonings.find(({ at }) => at > question.at && at < answer.at);
    return {
      question: question.text,
      answer: answer.text,
      reasoning: reasoning?.text ?? null,
      chat: labels["chat"] === true,
      facts: question.facts,
    };
  });
});

describe("comparisons", () => {
  it("depend on seed and index alone, and label what they say", () => {
    expect(comparisons({ seed: 1 }).document(99)).toEqual(documents[99]);
    fc.assert(
      fc.property(fc.integer(), fc.nat(), (seed, index) => {
        const document = comparisons({ seed, entities: table }).document(index);
        expect(faultsOf(document)).toEqual([]);
        expect(document.text.length / 3.8).toBeLessThan(200);
      }),
    );
  });

  it("answer right, whatever the wording", () => {
    expect(asked.length).toBeGreaterThan(28_000);
    for (const { question, answer } of asked) expect(answer, question).toBe(answerTo(question));
  });

  it("answer Yes as often as No, for each type, wording, direction, form and rank", () => {
    const balanced = (some: readonly Asked[], what: string): void => {
      expect(some.length, what).toBeGreaterThan(400);
      expect(
        Math.abs(shareZ(some.filter(({ answer }) => answer === "Yes").length, some.length, 0.5)),
        what,
      ).toBeLessThan(4);
    };
    balanced(asked, "all");
    for (const type of entityTypes)
      for (const direction of ["gt", "lt"])
        for (const wording of [0, 1, 2])
          balanced(
            asked.filter(
              ({ facts }) =>
                facts["type"] === type &&
                facts["direction"] === direction &&
                facts["wording"] === wording,
            ),
            `${type} ${direction} ${wording}`,
          );
    balanced(
      asked.filter(({ reasoning }) => reasoning === null),
      "direct",
    );
    balanced(
      asked.filter(({ chat }) => chat),
      "chat",
    );
    balanced(
      asked.filter(({ facts }) => byName.get(String(facts["x"]))!.rank <= 10),
      "popular first",
    );
    // The check itself: the entities' years do tell.
    const early = asked.filter(
      ({ facts }) =>
        facts["direction"] === "lt" && byName.get(String(facts["x"]))!.values["born"] === "1820",
    );
    expect(early.length).toBeGreaterThan(50);
    expect(early.every(({ answer }) => answer === "Yes")).toBe(true);
  });

  it("reason first for 60% of the questions, with right years and a right relation", () => {
    const reasoned = asked.filter(({ reasoning }) => reasoning !== null);
    expect(Math.abs(shareZ(reasoned.length, asked.length, 0.6))).toBeLessThan(4);
    for (const { reasoning, facts } of reasoned) {
      for (const name of [String(facts["x"]), String(facts["y"])]) {
        const entity = byName.get(name)!;
        expect(reasoning).toMatch(
          new RegExp(
            String.raw`${name} (?:was|were) \w+ in ${entity.values[ordinals[entity.type]]}\.`,
          ),
        );
      }
      const [, left, relation, right] = /(\d{4}) is (\w+) than (\d{4}),$/.exec(reasoning!)!;
      expect(relation).toBe(Number(left) < Number(right) ? "earlier" : "later");
    }
    for (const document of documentsOf(
      comparisons({ seed: 1, entities: table, reasonedShare: 0 }),
      100,
    ))
      expect(document.spans.some(({ label }) => label === "reasoning")).toBe(false);
  });

  it("are dialogues half the time, which tell whether to reason", () => {
    expect(
      Math.abs(
        shareZ(documents.filter(({ turns }) => turns !== null).length, documents.length, 0.5),
      ),
    ).toBeLessThan(4);
    for (const { turns } of documents.slice(0, 2000)) {
      for (const [number, turn] of (turns ?? []).entries())
        if (turn.role === "user")
          expect(turn.content.endsWith("Think first.")).toBe(
            turns![number + 1]!.content.includes("so the answer is"),
          );
    }
  });

  it("never ask about held-out pairs, and never in dialogues about entities held out of these", () => {
    const ofPair = ({ facts }: Asked): [string, string] => [String(facts["x"]), String(facts["y"])];
    for (const each of asked) {
      const [x, y] = ofPair(each).map((name) => byName.get(name)!);
      expect(isHeldOut(x!, y!, 0.1)).toBe(false);
      if (each.chat) expect(x!.inDialogues && y!.inDialogues).toBe(true);
    }
    expect(asked.some((each) => ofPair(each).some((name) => !byName.get(name)!.inDialogues))).toBe(
      true,
    );
  });

  it("never name anyone but known entities", () => {
    for (const group of ["tail", "refused", "unseen"] as const) {
      const find = nameFinder(table, group);
      for (const { text } of documents) expect(find(text)).toEqual([]);
    }
  });

  it("say so where no two entities differ", () => {
    const single = comparisons({ seed: 1, entities: entities({ seed: 1, known: 1 }) });
    expect(() => single.document(0)).toThrow("no two were found");
    expect(() => comparisons({ seed: 1, chatShare: -1 })).toThrow(LatentkitError);
  });
});

describe("comparisonPairs", () => {
  it("gives both directions in both orders, a Yes and a No each, rightly", () => {
    const pairs = comparisonPairs({ entities: table });
    expect(pairs).toHaveLength(400);
    for (const { gt, lt, earlier, later, type } of pairs) {
      const swapped = ([yes, no]: readonly [ComparisonQuestion, ComparisonQuestion]): void => {
        expect([yes.answer, no.answer]).toEqual(["Yes", "No"]);
        expect([answerTo(yes.question), answerTo(no.question)]).toEqual(["Yes", "No"]);
        expect([no.x, no.y]).toEqual([yes.y, yes.x]);
        const twin = yes.question
          .replace(yes.x.name, "#")
          .replace(yes.y.name, yes.x.name)
          .replace("#", yes.y.name);
        expect(no.question).toBe(twin);
      };
      swapped(gt);
      swapped(lt);
      expect(gt[0].x).toBe(later);
      expect(lt[0].x).toBe(earlier);
      expect(Number(earlier.values[ordinals[type]])).toBeLessThan(
        Number(later.values[ordinals[type]]),
      );
    }
  });

  it("tells the held-out tenth apart, evenly", () => {
    const all = comparisonPairs({ entities: table, type: "works", limit: 1e6 });
    const held = comparisonPairs({ entities: table, type: "works", limit: 1e6, heldOut: true });
    expect(held).toEqual(all.filter(({ heldOut }) => heldOut));
    expect(Math.abs(shareZ(held.length, all.length, 0.1))).toBeLessThan(4);
    expect(all.length).toBe(
      held.length +
        comparisonPairs({ entities: table, type: "works", limit: 1e6, heldOut: false }).length,
    );
    for (const { earlier, later } of held.slice(0, 50))
      expect(isHeldOut(later, earlier, 0.1)).toBe(true);
  });

  it("spreads its choice over all pairs", () => {
    const ranks = comparisonPairs({ entities: table, type: "people", limit: 50 }).map(
      ({ earlier, later }) => Math.min(earlier.rank, later.rank),
    );
    expect(Math.max(...ranks)).toBeGreaterThan(120);
    expect(Math.min(...ranks)).toBeLessThan(5);
    expect(() => comparisonPairs({ entities: table, wording: 3 })).toThrow(LatentkitError);
  });
});
