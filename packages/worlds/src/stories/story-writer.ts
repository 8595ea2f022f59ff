import type { Span } from "../document.ts";
import type { Draw } from "../draw.ts";
import { TextBuilder } from "../text-builder.ts";
import { Plot, type Sentence } from "./plot.ts";
import { describeWhereabouts, type Whereabouts } from "./story-state.ts";
import { type Filling, hasSlot, type Template, template, writeSentence } from "./template.ts";
import type { Character, Place, Thing } from "./vocabulary.ts";

/** Characters of text after which a story comes to its end. */
const storyLength = { least: 650, most: 1500 };
const numbers = ["One", "Two", "Three", "Four", "Five"];

/** Writes one story: the text of its plot, in chapters and paragraphs, with all spans. */
export class StoryWriter {
  readonly #draw: Draw;
  readonly #builder = new TextBuilder();
  readonly #plot: Plot;
  /** Who was named in the sentence before; a pronoun is clear where it can mean one alone. */
  #named: readonly Character[] = [];
  #sentences = 0;

  constructor(draw: Draw) {
    this.#draw = draw;
    this.#plot = new Plot(draw);
  }

  write(): {
    readonly text: string;
    readonly spans: readonly Span[];
    readonly labels: WorldLabels;
  } {
    const target = this.#draw.integer(storyLength.least, storyLength.most);
    const chapters = this.#draw.integer(2, target < 1000 ? 2 : 4);
    for (let chapter = 0; chapter < chapters; chapter++) {
      if (chapter > 0) this.#builder.add("\n\n");
      const last = chapter === chapters - 1;
      this.#builder.within("chapter", { index: chapter }, () => {
        this.#chapter(chapter, (target * (chapter + 1)) / chapters, last);
      });
    }
    return {
      ...this.#builder.finish(),
      labels: {
        chapters,
        sentences: this.#sentences,
        hero: this.#plot.hero.name,
        wanted: this.#plot.wanted.name,
      },
    };
  }

  #chapter(index: number, until: number, last: boolean): void {
    this.#builder.label(`Chapter ${numbers[index] ?? String(index + 1)}`, "heading", { index });
    let paragraph = 0;
    do {
      this.#builder.add("\n\n");
      this.#builder.within("paragraph", { index: paragraph }, () => {
        const sentences = this.#draw.integer(2, 5);
        for (let sentence = 0; sentence < sentences; sentence++) {
          if (sentence > 0) this.#builder.add(" ");
          else this.#named = [];
          this.#write(this.#plot.next(), sentence);
        }
        if (last && this.#builder.length >= until) {
          this.#builder.add(" ");
          this.#write(this.#plot.ending(), sentences);
        }
      });
      paragraph++;
    } while (this.#builder.length < until);
  }

  #write(sentence: Sentence, index: number): void {
    const { kind, what, actor, other, thing, place, where } = sentence;
    const pattern = this.#draw.pick(sentence.patterns);
    const [onlyNamed] = this.#named;
    const clear = this.#named.length === 1 && onlyNamed === actor;
    const pronoun = clear && hasSlot(pattern, "a") && this.#draw.chance(0.6);
    const names = [
      ...(actor !== undefined && (hasSlot(pattern, "a") || hasSlot(pattern, "A")) ? [actor] : []),
      ...(other !== undefined && hasSlot(pattern, "b") ? [other] : []),
      ...(where?.kind === "held" && hasSlot(pattern, "where") ? [where.by] : []),
    ];
    const facts: Record<string, string | number> = { index, number: this.#sentences, kind, what };
    if (actor !== undefined && names.includes(actor)) facts["actor"] = actor.name;
    if (other !== undefined && names.includes(other)) facts["other"] = other.name;
    if (thing !== undefined) facts["thing"] = thing.name;
    if (place !== undefined) facts["place"] = place.name;
    if (where !== undefined) facts["where"] = describeWhereabouts(where);
    this.#builder.within("sentence", facts, () => {
      this.#withKnowledge(sentence, () => {
        writeSentence(this.#builder, pattern, {
          a: actor && nameFilling(actor, pronoun),
          A: actor && nameFilling(actor, false),
          b: other && nameFilling(other, false),
          o: thing && thingFilling(thing, false),
          O: thing && thingFilling(thing, true),
          p: place && placeFilling(place, place.phrase),
          at: place && placeFilling(place, place.inside),
          where: where && whereFilling(where),
        });
      });
    });
    this.#named = names;
    this.#sentences++;
  }

  /** Labels a sentence by which somebody learns where a thing is, or which says whether they know. */
  #withKnowledge(sentence: Sentence, write: () => void): void {
    const { what, actor, other, thing, where } = sentence;
    const who = what === "tell" ? other : actor;
    const told = what === "tell" || what === "knows" || what === "ignorant" || what === "mistaken";
    if (!told || who === undefined || thing === undefined) {
      write();
      return;
    }
    const facts = {
      who: who.name,
      thing: thing.name,
      state: what === "tell" ? "learns" : what,
      ...(where === undefined ? {} : { where: describeWhereabouts(where) }),
    };
    this.#builder.within("knows", facts, write);
  }
}

/** Labels of a story's document. */
type WorldLabels = Readonly<Record<"chapters" | "sentences", number>> &
  Readonly<Record<"hero" | "wanted", string>>;

function nameFilling(character: Character, pronoun: boolean): Filling {
  return {
    phrase: [
      pronoun
        ? { kind: "text", text: character.pronoun }
        : { kind: "word", text: character.name, tag: "noun" },
    ],
    label: "character",
    facts: { name: character.name },
  };
}

function thingFilling(thing: Thing, capital: boolean): Filling {
  const [article, ...rest] = thing.phrase;
  const phrase: Template =
    capital && article !== undefined ? [{ kind: "text", text: "The " }, ...rest] : thing.phrase;
  return { phrase, label: "thing", facts: { name: thing.name } };
}

function placeFilling(place: Place, phrase: Template): Filling {
  return { phrase, label: "place", facts: { name: place.name } };
}

function whereFilling(where: Whereabouts): Filling {
  if (where.kind === "place") return placeFilling(where.place, where.place.inside);
  return {
    phrase: [...template("with "), ...nameFilling(where.by, false).phrase],
    label: "character",
    facts: { name: where.by.name },
  };
}
