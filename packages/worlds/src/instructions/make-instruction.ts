import type { Draw } from "../draw.ts";
import type { Instruction, InstructionKind, InstructionTask } from "./tasks.ts";
import {
  categories,
  greetedNames,
  oneWordQuestions,
  opposites,
  phraseWords,
  plainWords,
} from "./word-lists.ts";

type Maker = (draw: Draw) => Instruction;

/** A task of the kind, worded at random. */
export function makeInstruction(kind: InstructionKind, draw: Draw): Instruction {
  return makers[kind](draw);
}

const makers: Readonly<Record<InstructionKind, Maker>> = {
  repeat: (draw) => {
    const phrase = phraseOf(draw);
    return worded(draw, { kind: "repeat", phrase }, phrase, [
      `Repeat this: ${phrase}`,
      `Say exactly: ${phrase}`,
      `Copy these words: ${phrase}`,
    ]);
  },
  capitals: (draw) => {
    const phrase = phraseOf(draw);
    const prompts = [
      `Write in capitals: ${phrase}`,
      `Say this in capital letters: ${phrase}`,
      `Put this in upper case: ${phrase}`,
    ];
    return worded(draw, { kind: "capitals", phrase }, phrase.toUpperCase(), prompts);
  },
  count: (draw) => {
    const phrase = phraseOf(draw);
    const count = phrase.split(" ").length;
    const prompts = [
      `Count the words: ${phrase}`,
      `How many words are these? ${phrase}`,
      `How many words does this have: ${phrase}`,
    ];
    return worded(draw, { kind: "count", phrase, count }, String(count), prompts);
  },
  list: (draw) => {
    const category = draw.pick(Object.keys(categories));
    const members = categories[category] ?? [];
    const count = draw.integer(2, 4);
    const prompts = [
      `List ${count} ${category}.`,
      `Name ${count} ${category}.`,
      `Give me ${count} ${category}.`,
    ];
    return worded(
      draw,
      { kind: "list", category, count, members },
      draw.sample(members, count).join(", "),
      prompts,
    );
  },
  reverse: (draw) => {
    const items = draw.sample(plainWords, draw.integer(2, 4));
    const text = items.join(", ");
    const prompts = [
      `Reverse this list: ${text}`,
      `Say these in reverse order: ${text}`,
      `Write this list backwards: ${text}`,
    ];
    return worded(draw, { kind: "reverse", items }, items.toReversed().join(", "), prompts);
  },
  "one-word": (draw) => {
    const [question, answer] = draw.pick(oneWordQuestions);
    const prompts = [
      `${question} Answer in one word.`,
      `Answer in one word: ${question}`,
      `In one word: ${question}`,
    ];
    return worded(draw, { kind: "one-word", question, answer }, answer, prompts);
  },
  longer: (draw) => {
    const first = draw.pick(plainWords);
    const second = draw.pick(plainWords.filter(({ length }) => length !== first.length));
    const answer = first.length > second.length ? first : second;
    const prompts = [
      `Which word is longer: ${first} or ${second}?`,
      `Pick the longer word: ${first}, ${second}`,
      `Which has more letters, ${first} or ${second}?`,
    ];
    return worded(draw, { kind: "longer", words: [first, second], answer }, answer, prompts);
  },
  opposite: (draw) => {
    const [one, other] = draw.pick(opposites);
    const [word, answer] = draw.chance(0.5) ? [one, other] : [other, one];
    const prompts = [
      `What is the opposite of ${word}?`,
      `Give the opposite: ${word}`,
      `Say the opposite of ${word}.`,
    ];
    return worded(draw, { kind: "opposite", word, answer }, answer, prompts);
  },
  sum: (draw) => {
    const a = draw.integer(0, 19);
    const b = draw.integer(0, 19 - a);
    const sum = a + b;
    return worded(draw, { kind: "sum", terms: [a, b], sum }, String(sum), [
      `What is ${a} + ${b}?`,
      `Add ${a} and ${b}.`,
      `How much is ${a} plus ${b}?`,
    ]);
  },
  continue: (draw) => {
    const [start, step] = [draw.integer(1, 20), draw.pick([1, 2, 5, 10])];
    const numbers = Array.from({ length: 6 }, (_, position) => start + position * step);
    const [shown, next] = [numbers.slice(0, 4), numbers.slice(4)];
    const text = shown.join(", ");
    const prompts = [
      `Give the next two numbers: ${text}`,
      `Continue with two numbers: ${text}`,
      `Which two numbers follow? ${text}`,
    ];
    return worded(draw, { kind: "continue", shown, next }, next.join(", "), prompts);
  },
  spell: (draw) => {
    const word = draw.pick(plainWords);
    const prompts = [`Spell ${word}.`, `Spell the word ${word}.`, `How do you spell ${word}?`];
    return worded(draw, { kind: "spell", word }, [...word].join("-"), prompts);
  },
  greet: (draw) => {
    const name = draw.pick(greetedNames);
    const prompts = [`Greet ${name}.`, `Say hello to ${name}.`, `Hello, I am ${name}.`];
    return worded(
      draw,
      { kind: "greet", name },
      draw.pick([`Hello, ${name}!`, `Good day, ${name}!`, `Hello, ${name}, welcome!`]),
      prompts,
    );
  },
};

function worded(
  draw: Draw,
  task: InstructionTask,
  reply: string,
  prompts: readonly string[],
): Instruction {
  return { task, prompt: draw.pick(prompts), reply };
}

/** Two to seven words that make some sense. */
function phraseOf(draw: Draw): string {
  const { adjectives, nouns, verbs, places } = phraseWords;
  const [adjective, noun] = [draw.pick(adjectives), draw.pick(nouns)];
  const short = `${adjective} ${noun}`;
  if (draw.chance(0.3)) return short;
  const clause = `the ${short} ${draw.pick(verbs)}`;
  return draw.chance(0.5) ? clause : `${clause} ${draw.pick(places)}`;
}
