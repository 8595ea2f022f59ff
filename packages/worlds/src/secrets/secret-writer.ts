import type { Draw } from "../draw.ts";
import type { TextBuilder } from "../text-builder.ts";
import { riddleForms } from "./wordings.ts";
import type { SecretWord } from "./words.ts";

/** Writes about one word, with clues that do not repeat until all were given. */
export class SecretWriter {
  readonly #secret: SecretWord;
  readonly #draw: Draw;
  #left: SecretWord["clues"] = [];

  constructor(secret: SecretWord, draw: Draw) {
    this.#secret = secret;
    this.#draw = draw;
  }

  get word(): string {
    return this.#secret.word;
  }

  /** Writes a template: `{p}` the phrase, `{P}` with a capital, `{s}` the word, `{c}` a clue. */
  write(builder: TextBuilder, template: string): void {
    for (const piece of template.split(/(\{[a-zA-Z]\})/)) {
      if (piece === "{c}") this.#clue(builder);
      else if (piece === "{s}") this.#say(builder, this.#secret.word);
      else if (piece === "{p}") this.#say(builder, this.#secret.phrase);
      else if (piece === "{P}")
        this.#say(
          builder,
          this.#secret.phrase.charAt(0).toUpperCase() + this.#secret.phrase.slice(1),
        );
      else builder.add(piece);
    }
  }

  /** Writes clues with something between them. */
  clues(builder: TextBuilder, count: number, between: string): void {
    for (let clue = 0; clue < count; clue++) {
      if (clue > 0) builder.add(between);
      this.#clue(builder);
    }
  }

  /** Writes a riddle with its answer. */
  riddle(builder: TextBuilder): void {
    const { before, between, after } = this.#draw.pick(riddleForms);
    builder.add(before);
    this.clues(builder, this.#draw.integer(2, 4), between);
    this.write(builder, after);
  }

  /** The next clue. */
  next(): SecretWord["clues"][number] {
    if (this.#left.length === 0) this.#left = this.#draw.shuffle(this.#secret.clues);
    const [clue, ...rest] = this.#left;
    this.#left = rest;
    return clue ?? { style: "sensory", text: "" };
  }

  #clue(builder: TextBuilder): void {
    const { style, text } = this.next();
    builder.label(text, "clue", { word: this.word, style });
  }

  /** The phrase ends with the word: only that part is labelled. */
  #say(builder: TextBuilder, phrase: string): void {
    const { word } = this;
    builder.add(phrase.slice(0, phrase.length - word.length));
    builder.label(phrase.slice(phrase.length - word.length), "secret", { word });
  }
}
