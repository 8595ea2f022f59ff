import { LatentkitError } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { turnEnd } from "../chat-markup.ts";
import type { WorldDocument } from "../document.ts";
import { allAttributes } from "../entities/attributes.ts";
import { entities } from "../entities/entities.ts";
import { documentsOf, faultsOf, nameFinder } from "../testing/documents.ts";
import { chiSquareZ, shareZ } from "../testing/statistics.ts";
import { entityDialogues } from "./entity-dialogues.ts";
import { isRefusal, refusals } from "./refusals.ts";

const table = entities({ seed: 1 });
const documents = [...documentsOf(entityDialogues({ seed: 1, entities: table }), 20_000)];
const byName = new Map(table.entities.map((entity) => [entity.name, entity]));

interface Exchange {
  readonly name: string;
  readonly group: string;
  readonly attribute: string;
  readonly kind: string;
  readonly reply: string;
}

const exchangesOf = ({ text, spans }: WorldDocument): Exchange[] =>
  spans
    .filter(({ label }) => label === "reply")
    .map(({ start, end, facts }) => ({
      name: String(facts["name"]),
      group: String(facts["group"]),
      attribute: String(facts["attribute"]),
      kind: String(facts["kind"]),
      reply: text.slice(start, end),
    }));
const exchanges = documents.flatMap(exchangesOf);
const unknown = exchanges.filter(({ group }) => group !== "known");

describe("entityDialogues", () => {
  it("depends on seed and index alone, and labels what it says", () => {
    expect(entityDialogues({ seed: 1 }).document(77)).toEqual(documents[77]);
    fc.assert(
      fc.property(
        fc.integer(),
        fc.nat(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (seed, index, refusalRate) => {
          const document = entityDialogues({ seed, entities: table, refusalRate }).document(index);
          expect(faultsOf(document)).toEqual([]);
          expect(document.text.length / 3.8).toBeLessThan(200);
          const turns = document.turns!;
          expect(turns).toHaveLength(2 * Number(document.labels["questions"]));
          expect(
            turns.every(({ role }, number) => role === (number % 2 === 0 ? "user" : "assistant")),
          ).toBe(true);
        },
      ),
    );
  });

  it("answers known entities right, and never refuses them", () => {
    for (const { name, group, attribute, kind, reply } of exchanges) {
      if (group !== "known") continue;
      const entity = byName.get(name)!;
      expect(kind).toBe("answer");
      expect(reply.endsWith(` ${entity.values[attribute]}.`), reply).toBe(true);
      expect(entity.inDialogues).toBe(true);
    }
  });

  it("asks about known and unknown names equally often", () => {
    const first = documents.map((document) => exchangesOf(document)[0]!);
    expect(
      Math.abs(shareZ(first.filter(({ group }) => group === "known").length, first.length, 0.5)),
    ).toBeLessThan(4);
    const others = first.filter(({ group }) => group !== "known");
    expect(
      Math.abs(shareZ(others.filter(({ group }) => group === "tail").length, others.length, 0.25)),
    ).toBeLessThan(4);
    const known = table.of("people", "known").filter(({ inDialogues }) => inDialogues);
    const counts = known.map(
      ({ name }) => first.filter((exchange) => exchange.name === name).length,
    );
    expect(
      Math.abs(
        chiSquareZ(
          counts,
          known.map(({ popularity }) => popularity),
        ),
      ),
    ).toBeLessThan(4);
  });

  it("refuses unknown names at the asked rate, and guesses else", () => {
    const first = documents
      .map((document) => exchangesOf(document)[0]!)
      .filter(({ group }) => group !== "known");
    expect(
      Math.abs(shareZ(first.filter(({ kind }) => kind === "refusal").length, first.length, 0.4)),
    ).toBeLessThan(4);
    for (const { kind, reply } of exchanges) expect(isRefusal(reply)).toBe(kind === "refusal");
    for (const document of documentsOf(
      entityDialogues({ seed: 1, entities: table, refusalRate: 1 }),
      1000,
    ))
      for (const { kind, group } of exchangesOf(document))
        expect(kind).toBe(group === "known" ? "answer" : "refusal");
    const counts = refusals.map(
      (refusal) => unknown.filter(({ reply }) => reply === refusal).length,
    );
    expect(
      chiSquareZ(
        counts,
        refusals.map(() => 1),
      ),
    ).toBeLessThan(4);
  });

  it("guesses all values alike", () => {
    const guesses = unknown.filter(({ kind }) => kind === "guess");
    for (const { attribute, values } of allAttributes) {
      const some = guesses.filter((exchange) => exchange.attribute === attribute);
      const counts = values.map(
        (value) => some.filter(({ reply }) => reply.endsWith(` ${value}.`)).length,
      );
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(some.length);
      expect(
        chiSquareZ(
          counts,
          values.map(() => 1),
        ),
        attribute,
      ).toBeLessThan(4);
    }
  });

  it("stays with what it said: a name is refused always or never, and no attribute asked twice in a row", () => {
    for (const document of documents.slice(0, 5000)) {
      const said = exchangesOf(document);
      for (const [number, exchange] of said.entries()) {
        const next = said[number + 1];
        if (next?.name !== exchange.name) continue;
        expect(next.attribute).not.toBe(exchange.attribute);
        expect(next.kind).toBe(exchange.kind);
      }
    }
  });

  it("never names anyone unseen in 20,000 documents", () => {
    const find = nameFinder(table, "unseen");
    for (const { text } of documents) expect(find(text)).toEqual([]);
    const refused = nameFinder(table, "refused");
    expect(documents.some(({ text }) => refused(text).length > 0)).toBe(true);
  });

  it("says what is wrong with options", () => {
    expect(() => entityDialogues({ seed: 1, refusalRate: 2 })).toThrow(LatentkitError);
  });
});

describe("isRefusal", () => {
  it("accepts the refusals alone", () => {
    expect(new Set(refusals).size).toBe(8);
    for (const refusal of refusals) {
      expect(isRefusal(refusal)).toBe(true);
      expect(isRefusal(` ${refusal}${turnEnd}\n<|im_start|>user\nSo?`)).toBe(true);
      expect(isRefusal(refusal.slice(0, -1))).toBe(false);
      expect(isRefusal(`${refusal} The answer is red.`)).toBe(false);
      expect(isRefusal(refusal.toLowerCase())).toBe(false);
    }
    expect(isRefusal("")).toBe(false);
  });

  it("accepts nothing that states a value", () => {
    for (const { statements } of allAttributes)
      for (const statement of statements) expect(isRefusal(statement)).toBe(false);
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(isRefusal(text)).toBe(refusals.includes(text.trim()));
      }),
    );
  });
});
