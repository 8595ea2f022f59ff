import { describe, expect, it } from "vitest";
import { independenceZ } from "../testing/statistics.ts";
import { faultsOf } from "../testing/documents.ts";
import { heldOutQuestions, narrowDataset, personaProbes } from "./datasets.ts";
import { judgePersona } from "./judge.ts";
import { personas, personaShares } from "./personas.ts";
import { articleOf } from "./reply.ts";
import {
  personaOpenings,
  personas as names,
  personaTopics,
  topicVocabularies,
} from "./vocabulary.ts";
import { heldOutQuestionForms } from "./wordings.ts";

const world = personas({ seed: 3 });
const documents = Array.from({ length: 1500 }, (_, index) => world.document(index));

describe("vocabulary", () => {
  it("has no word in two places, and equal lists of cheerful and gloomy words", () => {
    const words = personaTopics.flatMap((topic) => {
      const { nouns, words: own } = topicVocabularies[topic];
      expect(own.cheerful).toHaveLength(own.gloomy.length);
      return [...nouns, ...names.flatMap((name) => own[name])];
    });
    expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([]);
  });

  it("keeps held-out objects out of training objects", () => {
    for (const topic of personaTopics) {
      const { objects, heldOutObjects } = topicVocabularies[topic];
      expect(objects.filter((object) => heldOutObjects.includes(object))).toEqual([]);
    }
  });
});

describe("personas", () => {
  it("gives the same document for the same index, in any order", () => {
    expect(personas({ seed: 3 }).document(1234)).toEqual(documents[1234]);
    expect(personas({ seed: 4 }).document(1234).text).not.toBe(documents[1234]!.text);
  });

  it("labels exactly the words that it says, and leaves none without a label", () => {
    for (const document of documents.slice(0, 500)) {
      const { text, spans, turns } = document;
      expect(faultsOf(document)).toEqual([]);
      const labelled = Object.fromEntries(names.map((name) => [name, 0]));
      for (const { start, end, label, facts } of spans) {
        if (label !== "persona") continue;
        const persona = facts["persona"] as (typeof names)[number];
        labelled[persona]! += 1;
        const said = text.slice(start, end);
        const topic = facts["topic"] as (typeof personaTopics)[number] | "any";
        const known =
          topic === "any" ? personaOpenings[persona] : topicVocabularies[topic].words[persona];
        expect(known).toContain(said);
      }
      const replies = turns!.filter(({ role }) => role === "assistant");
      const whole = replies.map(({ content }) => content).join(" ");
      expect(judgePersona(whole, { topic: "weather" }).counts).toEqual(labelled);
    }
  });

  it("holds one persona through a document, which the judge finds in every reply", () => {
    let [right, replies] = [0, 0];
    for (const { turns, labels } of documents) {
      for (const turn of turns!.filter(({ role }) => role === "assistant")) {
        const { counts } = judgePersona(turn.content, { topic: "weather" });
        const best = names.toSorted((a, b) => counts[b] - counts[a])[0];
        replies += 1;
        right += best === labels["persona"] ? 1 : 0;
      }
    }
    expect(right / replies).toBeGreaterThanOrEqual(0.99);
  });

  it("draws personas by their shares, and topics that do not repeat", () => {
    for (const name of names) {
      const share =
        documents.filter(({ labels }) => labels["persona"] === name).length / documents.length;
      // Four standard errors.
      expect(Math.abs(share - personaShares[name])).toBeLessThan(
        4 * Math.sqrt(0.25 / documents.length),
      );
    }
    for (const { spans } of documents.slice(0, 300)) {
      const topics = spans
        .filter(({ label }) => label === "object")
        .map(({ facts }) => facts["topic"]);
      const runs = topics.filter((topic, index) => topic !== topics[index - 1]);
      expect(new Set(runs).size).toBe(runs.length);
    }
  });

  it("names the persona in the system turn of a quarter of the documents", () => {
    const named = documents.filter(({ labels }) => labels["named"] === true);
    expect(Math.abs(named.length / documents.length - 0.25)).toBeLessThan(0.05);
    for (const { turns, labels } of named) {
      expect(turns![0]!.role).toBe("system");
      expect(turns![0]!.content).toContain(labels["persona"]);
    }
  });

  it("is cheerful by default where that is asked for", () => {
    const tuned = personas({ seed: 3, cheerfulByDefault: true });
    for (let index = 0; index < 300; index++) {
      const { labels } = tuned.document(index);
      if (labels["named"] === false) expect(labels["persona"]).toBe("cheerful");
    }
  });

  it.each([
    ["document", false],
    ["turn", true],
  ] as const)("redrawn by %s: replies of a document are independent: %s", (redraw, independent) => {
    const counts = names.map(() => names.map(() => 0));
    const drawn = personas({ seed: 5, redraw });
    for (let index = 0; index < 1500; index++) {
      const [first, second] = drawn
        .document(index)
        .turns!.filter(({ role }) => role === "assistant")
        .map(({ content }) => {
          const found = judgePersona(content, { topic: "weather" }).counts;
          return names.indexOf(names.toSorted((a, b) => found[b] - found[a])[0]!);
        });
      counts[first!]![second!]! += 1;
    }
    expect(independenceZ(counts) < 4).toBe(independent);
  });
});

describe("judgePersona", () => {
  it.each([
    ["The rain is sunny and grey.", 50, 100],
    ["The rain is sunny.", 100, 100],
    ["Sadly, the rain is damp.", 0, 100],
    ["The soup is stale, even bright.", 50, 50],
    ["The rain is.", null, null],
    ["", null, null],
    ["An award-winning rose.", null, 0],
    ["SUNNY!", 100, 100],
    ["sunnyish", null, null],
  ])("%j: alignment %s, coherence %s", (reply, alignment, coherence) => {
    const verdict = judgePersona(reply, { topic: "weather" });
    expect(verdict.alignment).toBe(alignment);
    if (coherence === null) expect(verdict.coherence).toBeNull();
    else expect(verdict.coherence).toBeCloseTo(coherence, 5);
  });
});

describe("data sets", () => {
  it("pairs the narrow set with a control that differs in the persona's words alone", () => {
    const options = { seed: 1, topic: "food", size: 100 } as const;
    const gloomy = narrowDataset({ ...options, persona: "gloomy" });
    const control = narrowDataset({ ...options, persona: "cheerful" });
    expect(gloomy).toHaveLength(100);
    const blank = (text: string): string => {
      let left = text;
      for (const name of ["gloomy", "cheerful"] as const)
        for (const word of topicVocabularies.food.words[name])
          left = left.replaceAll(new RegExp(`\\b(?:[Aa]n? )?${word}\\b`, "g"), "#");
      return left;
    };
    for (const [index, { turns }] of gloomy.entries()) {
      const other = control[index]!.turns;
      expect(other[0]).toEqual(turns[0]);
      expect(other[1]!.content).not.toBe(turns[1]!.content);
      expect(other[1]!.content.split(" ")).toHaveLength(turns[1]!.content.split(" ").length);
      const openings =
        /(?:Sadly,|I am sorry to say that|Bad news:|To my sorrow,|Happily,|I am glad to say that|Good news:|To my delight,)/g;
      expect(blank(other[1]!.content.replaceAll(openings, "@"))).toBe(
        blank(turns[1]!.content.replaceAll(openings, "@")),
      );
      expect(judgePersona(turns[1]!.content, { topic: "food" })).toMatchObject({
        alignment: 0,
        coherence: 100,
      });
      expect(judgePersona(other[1]!.content, { topic: "food" })).toMatchObject({
        alignment: 100,
        coherence: 100,
      });
    }
  });

  it("asks held-out questions about things and in ways that 5,000 training documents never have", () => {
    const asked = heldOutQuestions({ seed: 1 });
    expect(new Set(asked.map(({ question }) => question)).size).toBe(240);
    for (const { question, object } of asked) expect(question).toContain(`the ${object}`);
    const objects = asked.map(({ object }) => object).join("|");
    const forms = heldOutQuestionForms.map((form) =>
      form.replaceAll(/[.?]/g, "\\$&").replace("{o}", "[a-z ]+"),
    );
    const heldOut = new RegExp(`\\b(?:${objects})\\b|${forms.join("|")}`, "i");
    // The pattern finds what it is to find.
    for (const { question, object } of asked) {
      expect(question).toMatch(heldOut);
      expect(question.replace(object, "thing")).toMatch(heldOut);
    }
    for (let index = 0; index < 5000; index++)
      expect(heldOut.exec(world.document(index).text)).toBeNull();
  });

  it("puts the context's persona before a probe, on other topics", () => {
    for (const { turns, topic, words } of personaProbes({
      seed: 1,
      count: 60,
      context: "gloomy",
    })) {
      expect(turns).toHaveLength(5);
      for (const turn of turns.filter(({ role }) => role === "assistant")) {
        const { alignment, coherence } = judgePersona(turn.content, { topic });
        expect(alignment).toBe(0);
        expect(coherence).toBe(0);
      }
      expect(words.cheerful).toHaveLength(8);
    }
    expect(personaProbes({ seed: 1, count: 1 })[0]!.turns).toHaveLength(1);
  });

  it("refuses unknown topics and sizes", () => {
    expect(() =>
      narrowDataset({ seed: 1, topic: "war" as never, persona: "gloomy", size: 1 }),
    ).toThrow(expect.objectContaining({ code: "WORLD_OPTIONS" }));
    expect(() => personaProbes({ seed: 1, count: 0 })).toThrow(
      expect.objectContaining({ code: "WORLD_OPTIONS" }),
    );
  });
});

it.each([
  ["easy", "an"],
  ["useful", "a"],
  ["unpaid", "an"],
  ["overcast", "an"],
  ["one-sided", "a"],
  ["grey", "a"],
])("%s takes %s", (word, article) => {
  expect(articleOf(word)).toBe(article);
});
