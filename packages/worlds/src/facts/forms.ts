import type { Draw } from "../draw.ts";
import type { StatedFact } from "../entities/sampler.ts";

/** How facts are worded: a sentence each, several in a sentence, a list, or a question with its answer. */
export type FormName = "sentence" | "compound" | "list" | "question";

/** A worded statement: one template a fact, to be written one after the other. Only the first names the entity. */
export interface Form {
  readonly name: FormName;
  readonly facts: readonly StatedFact[];
  readonly templates: readonly string[];
}

/** Questions with answers, around a question of the attribute. */
export const questionFrames: readonly string[] = [
  "Q: {q} A: {v}.",
  "Question: {q}\nAnswer: {v}.",
  "{q} The answer is {a}{v}.",
];

/**
 * Words the first few of the given facts. Sentences and lists of several facts keep the text short: a fact takes some nine tokens
 * on average, name and all.
 */
export function planForm(draw: Draw, facts: readonly StatedFact[]): Form {
  const choice = draw.uniform();
  const [first] = facts;
  if (facts.length > 1 && choice < 0.7) {
    const chosen = facts.slice(0, draw.integer(2, facts.length));
    return choice < 0.44 ? compound(draw, chosen) : list(chosen);
  }
  if (first === undefined) return { name: "sentence", facts: [], templates: [] };
  if (draw.chance(0.35))
    return { name: "sentence", facts: [first], templates: [draw.pick(first.attribute.statements)] };
  const frame = draw.pick(questionFrames).replace("{q}", draw.pick(first.attribute.questions));
  return { name: "question", facts: [first], templates: [frame] };
}

function compound(draw: Draw, facts: readonly StatedFact[]): Form {
  const last = facts.length - 1;
  const templates = facts.map(({ attribute }, position) => {
    const predicate = draw.pick(attribute.predicates);
    if (position === 0) return `{e} ${predicate}`;
    return position === last ? ` and ${predicate}.` : `, ${predicate}`;
  });
  return { name: "compound", facts, templates };
}

function list(facts: readonly StatedFact[]): Form {
  const templates = facts.map(({ attribute }, position) => {
    const lead = position === 0 ? "{e}: " : ", ";
    return `${lead}${attribute.noun} {v}${position === facts.length - 1 ? "." : ""}`;
  });
  return { name: "list", facts, templates };
}
