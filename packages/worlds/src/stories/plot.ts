import type { Draw } from "../draw.ts";
import {
  colourPatterns,
  endingPatterns,
  eventPatterns,
  openingPatterns,
  recallPatterns,
} from "./patterns.ts";
import { type StoryEvent, StoryState, type Whereabouts } from "./story-state.ts";
import type { Template } from "./template.ts";
import {
  type Character,
  characters,
  type Place,
  places,
  type Thing,
  things,
} from "./vocabulary.ts";

/** What a sentence is about. Each becomes one sentence. */
export interface Sentence {
  readonly kind: "opening" | "event" | "recall" | "colour" | "ending";
  readonly what: string;
  readonly patterns: readonly Template[];
  readonly actor?: Character;
  readonly other?: Character;
  readonly thing?: Thing;
  /** The place of `{p}` and `{at}`. */
  readonly place?: Place;
  /** What `{where}` says. */
  readonly where?: Whereabouts;
}

/** Decides what a story tells, sentence by sentence, and keeps the state that it tells about. */
export class Plot {
  readonly hero: Character;
  /** What the hero longs for. */
  readonly wanted: Thing;
  readonly #draw: Draw;
  readonly #state: StoryState;
  /** What has to be said next, before a new step is drawn. */
  readonly #queue: Sentence[];
  /** Questions so far, and the thing that last changed hands or place. */
  readonly #asked = new Set<string>();
  #moved: Thing | undefined;

  constructor(draw: Draw) {
    this.#draw = draw;
    const cast = draw.sample(characters, draw.integer(2, 4));
    this.#state = new StoryState(
      cast,
      draw.sample(places, draw.integer(3, 4)),
      draw.sample(things, draw.integer(2, 4)),
      draw,
    );
    this.hero = draw.pick(cast);
    this.wanted = draw.pick(this.#state.things);
    this.#queue = this.#openings();
  }

  /** Where everybody is, where things lie, and what the hero wants. */
  #openings(): Sentence[] {
    const state = this.#state;
    const position = state.cast.map((actor): Sentence => ({
      kind: "opening",
      what: "position",
      patterns: openingPatterns.position,
      actor,
      place: state.placeOf(actor),
    }));
    const lies = state.things.flatMap((thing): Sentence[] => {
      const where = state.whereIs(thing);
      if (where.kind !== "place") return [];
      const { place } = where;
      return [{ kind: "opening", what: "lies", patterns: openingPatterns.lies, thing, place }];
    });
    const goal: Sentence = {
      kind: "opening",
      what: "goal",
      patterns: openingPatterns.goal,
      actor: this.hero,
      thing: this.wanted,
      other: this.#draw.pick(state.cast.filter((character) => character !== this.hero)),
    };
    return [...this.#draw.shuffle([...position, ...lies]), goal];
  }

  /** What is told next. */
  next(): Sentence {
    const queued = this.#queue.shift();
    if (queued !== undefined) return queued;
    const kind = this.#draw.uniform();
    if (kind < 0.62) return this.#event();
    return kind < 0.86 ? this.#recall() : this.#colour();
  }

  #event(): Sentence {
    const event = this.#drawEvent();
    const where = event.what === "tell" ? this.#state.whereIs(event.thing) : undefined;
    const place = event.what === "move" ? event.to : this.#state.placeOf(event.actor);
    this.#state.apply(event);
    this.#remember(event);
    if (event.what === "ask") this.#queue.push(this.#answer(event.actor, event.other, event.thing));
    return {
      kind: "event",
      what: event.what,
      patterns: eventPatterns[event.what],
      actor: event.actor,
      ...("other" in event ? { other: event.other } : {}),
      ...("thing" in event ? { thing: event.thing } : {}),
      ...(where === undefined ? {} : { where }),
      place,
    };
  }

  #drawEvent(): StoryEvent {
    const draw = this.#draw;
    const state = this.#state;
    const actor = draw.chance(0.45) ? this.hero : draw.pick(state.cast);
    const pursuit = actor === this.hero && draw.chance(0.5) ? this.#pursuit() : undefined;
    if (pursuit !== undefined) return pursuit;
    const steps = state.steps(actor).filter((step) => this.#isSensible(step));
    if (steps.length > 0 && draw.chance(0.7)) {
      const talk = steps.filter(({ what }) => what === "tell");
      return draw.pick(talk.length > 0 && draw.chance(0.5) ? talk : steps);
    }
    const here = state.placeOf(actor);
    // Characters seek each other, or nobody could tell anything.
    const company = state.cast.map((other) => state.placeOf(other)).filter((at) => at !== here);
    const elsewhere = state.places.filter((at) => at !== here);
    const to = draw.pick(company.length > 0 && draw.chance(0.6) ? company : elsewhere);
    return { what: "move", actor, to };
  }

  /** Nobody asks the same question twice, undoes what they have just done, or lays down what they long for. */
  #isSensible(step: StoryEvent): boolean {
    switch (step.what) {
      case "ask":
        return !this.#asked.has([step.actor.name, step.other.name, step.thing.name].join("/"));
      case "take":
      case "give":
        return step.thing !== this.#moved;
      case "put":
        return (
          step.thing !== this.#moved && !(step.actor === this.hero && step.thing === this.wanted)
        );
      case "tell":
      case "move":
        return true;
    }
  }

  #remember(event: StoryEvent): void {
    if (event.what === "ask")
      this.#asked.add([event.actor.name, event.other.name, event.thing.name].join("/"));
    else if (event.what !== "move" && event.what !== "tell") this.#moved = event.thing;
  }

  /** The hero's step towards the thing they want, if they believe they know where it is and do not have it. */
  #pursuit(): StoryEvent | undefined {
    const state = this.#state;
    const belief = state.belief(this.hero, this.wanted);
    if (belief?.kind !== "place" || this.wanted === this.#moved) return undefined;
    const here = state.placeOf(this.hero);
    if (belief.place !== here) return { what: "move", actor: this.hero, to: belief.place };
    return { what: "take", actor: this.hero, thing: this.wanted };
  }

  /** What somebody who was asked says: where the thing is if they know, that they do not know if not. */
  #answer(asking: Character, asked: Character, thing: Thing): Sentence {
    const state = this.#state;
    if (state.knowledge(asked, thing) !== "knows") return this.#knowledge(asked, thing);
    const event = { what: "tell", actor: asked, other: asking, thing } as const;
    state.apply(event);
    const where = state.whereIs(thing);
    const place = state.placeOf(asked);
    return { kind: "event", ...event, patterns: eventPatterns.tell, where, place };
  }

  /** A true sentence about how things stand. */
  #recall(): Sentence {
    const { cast, things: all } = this.#state;
    const thing = this.#draw.pick(all);
    const where = this.#state.whereIs(thing);
    const kind = this.#draw.uniform();
    if (kind < 0.25) {
      const actor = this.#draw.pick(cast);
      const place = this.#state.placeOf(actor);
      return { kind: "recall", what: "position", patterns: recallPatterns.position, actor, place };
    }
    if (kind < 0.55) {
      // Errors are rare and telling: where there are any, they are told first.
      const errors = cast.flatMap((one) =>
        all
          .filter((some) => this.#state.knowledge(one, some) === "mistaken")
          .map((some) => [one, some] as const),
      );
      const [who, what] =
        errors.length > 0 ? this.#draw.pick(errors) : [this.#draw.pick(cast), thing];
      return this.#knowledge(who, what);
    }
    return where.kind === "held"
      ? { kind: "recall", what: "holder", patterns: recallPatterns.holder, actor: where.by, thing }
      : {
          kind: "recall",
          what: "lies",
          patterns: recallPatterns.lies,
          thing,
          place: where.place,
        };
  }

  /** Whether a character knows where a thing is. Who holds a thing is said instead by the holder's own sentence. */
  #knowledge(actor: Character, thing: Thing): Sentence {
    const state = this.#state;
    const where = state.whereIs(thing);
    if (where.kind === "held" && where.by === actor)
      return { kind: "recall", what: "holder", patterns: recallPatterns.holder, actor, thing };
    const what = state.knowledge(actor, thing);
    const belief = state.belief(actor, thing);
    return {
      kind: "recall",
      what,
      patterns: recallPatterns[what],
      actor,
      thing,
      ...(belief === undefined ? {} : { where: belief }),
    };
  }

  #colour(): Sentence {
    const actor = this.#draw.pick(this.#state.cast);
    return { kind: "colour", what: "colour", patterns: colourPatterns, actor };
  }

  /** How the story ends. */
  ending(): Sentence {
    return { kind: "ending", what: "ending", patterns: endingPatterns, actor: this.hero };
  }
}
