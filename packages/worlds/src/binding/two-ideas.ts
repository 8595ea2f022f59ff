import type { Span } from "../document.ts";
import type { Draw } from "../draw.ts";
import { TextBuilder } from "../text-builder.ts";
import { type IdeaAttribute, type IdeaFrame, ideaFrames, themes } from "./ideas.ts";

/** One of the two ideas of a document: A is the one that comes first. */
export interface Idea {
  readonly letter: "A" | "B";
  /** `"the red box"` */
  readonly subject: string;
  readonly theme: string;
  /** The value of each attribute, by its name. */
  readonly values: ReadonlyMap<string, string>;
}

/** What is drawn before a two-idea document is written. */
export interface TwoIdeas {
  readonly frame: IdeaFrame;
  readonly ideas: readonly [Idea, Idea];
}

/** Draws two subjects and binds a theme and a value of each attribute to each, anew for every document. */
export function drawIdeas(draw: Draw): TwoIdeas {
  const frame = draw.pick(ideaFrames);
  const subjects = draw.sample(frame.subjects, 2);
  const topics = draw.sample(Object.keys(themes), 2);
  const values = frame.attributes.map((attribute) => draw.sample(attribute.values, 2));
  const idea = (letter: Idea["letter"], index: 0 | 1): Idea => ({
    letter,
    subject: subjects[index] ?? "",
    theme: topics[index] ?? "",
    values: new Map(
      frame.attributes.map(({ name }, attribute) => [name, values[attribute]?.[index] ?? ""]),
    ),
  });
  return { frame, ideas: [idea("A", 0), idea("B", 1)] };
}

/** A recall sentence whose last word is what was bound. */
export interface Recall {
  readonly idea: Idea;
  readonly attribute: IdeaAttribute;
  /** Whether the text had named the other idea's value of the attribute too. */
  readonly contrasted: boolean;
  /** Where the value begins in the text, with the space before it. */
  readonly valueStart: number;
}

/** Writes the document: chunks that alternate between the ideas, and sentences that recall what was bound. */
export function writeTwoIdeas(
  draw: Draw,
  { frame, ideas }: TwoIdeas,
): { readonly text: string; readonly spans: readonly Span[]; readonly recalls: readonly Recall[] } {
  const builder = new TextBuilder();
  const stated: { readonly idea: Idea; readonly attribute: IdeaAttribute }[] = [];
  const chunks = draw.integer(4, 6);
  // Each idea goes through its attributes in an order of its own, so that no value is told by its place.
  const orders = ideas.map(() => draw.shuffle(frame.attributes));
  const told = ideas.map(() => 0);
  for (let chunk = 0; chunk < chunks; chunk++) {
    const side = chunk % 2;
    const idea = ideas[side] ?? ideas[0];
    if (chunk > 0) builder.add("\n\n");
    builder.within("chunk", { idea: idea.letter, subject: idea.subject, index: chunk }, () => {
      const sentences = draw.integer(3, 4);
      for (let sentence = 0; sentence < sentences; sentence++) {
        if (sentence > 0) builder.add(" ");
        const subject = sentence === 0 || draw.chance(0.3) ? idea.subject : frame.pronoun;
        if (sentence > 0 && draw.chance(0.4)) {
          writeTheme(builder, draw, frame, idea, subject);
          continue;
        }
        const turn = told[side] ?? 0;
        const attribute = orders[side]?.[turn % frame.attributes.length];
        if (attribute === undefined) continue;
        told[side] = turn + 1;
        stated.push({ idea, attribute });
        writeAttribute(builder, draw, attribute, idea, subject);
      }
    });
  }
  builder.add("\n\n");
  const recalls: Recall[] = [];
  const asked = draw.sample(distinct(stated), draw.integer(2, 4));
  for (const [index, { idea, attribute }] of asked.entries()) {
    if (index > 0) builder.add(" ");
    const contrasted = stated.some((one) => one.idea !== idea && one.attribute === attribute);
    recalls.push({ ...writeRecall(builder, idea, attribute), contrasted });
  }
  return { ...builder.finish(), recalls };
}

function writeAttribute(
  builder: TextBuilder,
  draw: Draw,
  attribute: IdeaAttribute,
  idea: Idea,
  subject: string,
): void {
  writePattern(builder, draw.pick(attribute.sentences), idea, subject, {
    text: idea.values.get(attribute.name) ?? "",
    label: "value",
    facts: { idea: idea.letter, attribute: attribute.name },
  });
}

function writeTheme(
  builder: TextBuilder,
  draw: Draw,
  frame: IdeaFrame,
  idea: Idea,
  subject: string,
): void {
  writePattern(builder, draw.pick(frame.themes), idea, subject, {
    text: draw.pick(themes[idea.theme] ?? []),
    label: "theme",
    facts: { idea: idea.letter, theme: idea.theme },
  });
}

function writeRecall(
  builder: TextBuilder,
  idea: Idea,
  attribute: IdeaAttribute,
): Omit<Recall, "contrasted"> {
  const value = idea.values.get(attribute.name) ?? "";
  const facts = { idea: idea.letter, attribute: attribute.name, value };
  let valueStart = 0;
  builder.within("recall", { ...facts, subject: idea.subject }, () => {
    writePattern(builder, attribute.recall, idea, idea.subject);
    valueStart = builder.length;
    builder.add(" ").label(value, "value", facts).add(".");
  });
  return { idea, attribute, valueStart };
}

/** What fills `{v}` or `{w}` of a pattern. */
interface Word {
  readonly text: string;
  readonly label: string;
  readonly facts: Readonly<Record<string, string>>;
}

function writePattern(
  builder: TextBuilder,
  pattern: string,
  idea: Idea,
  subject: string,
  word?: Word,
): void {
  for (const piece of pattern.split(/(\{[sSvw]\})/)) {
    if (piece === "{s}" || piece === "{S}") {
      const text = piece === "{S}" ? capitalised(subject) : subject;
      builder.label(text, "idea", { idea: idea.letter, subject: idea.subject });
    } else if (piece === "{v}" || piece === "{w}") {
      if (word !== undefined)
        builder.label(word.text, word.label, { ...word.facts, value: word.text });
    } else builder.add(piece);
  }
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function distinct<T extends { readonly idea: Idea; readonly attribute: IdeaAttribute }>(
  stated: readonly T[],
): T[] {
  return stated.filter(
    ({ idea, attribute }, index) =>
      stated.findIndex((other) => other.idea === idea && other.attribute === attribute) === index,
  );
}
