import type { Draw } from "../draw.ts";
import type { Character, Place, Thing } from "./vocabulary.ts";

/** Where a thing is: at a place, or with somebody. */
export type Whereabouts =
  | { readonly kind: "place"; readonly place: Place }
  | { readonly kind: "held"; readonly by: Character };

/** A step of the plot that the state allows. */
export type StoryEvent =
  | { readonly what: "move"; readonly actor: Character; readonly to: Place }
  | { readonly what: "take" | "put"; readonly actor: Character; readonly thing: Thing }
  | {
      readonly what: "give" | "tell" | "ask";
      readonly actor: Character;
      readonly other: Character;
      readonly thing: Thing;
    };

/** Whether somebody knows where a thing is, does not, or is wrong about it. */
export type Knowledge = "knows" | "ignorant" | "mistaken";

/**
 * Who is where, who holds what, and what each character believes about where things are. Whoever is present sees what happens, and
 * whoever arrives sees what lies there and what those present hold; all else has to be told.
 */
export class StoryState {
  readonly cast: readonly Character[];
  readonly places: readonly Place[];
  readonly things: readonly Thing[];
  readonly #at = new Map<Character, Place>();
  readonly #where = new Map<Thing, Whereabouts>();
  readonly #beliefs = new Map<Character, Map<Thing, Whereabouts>>();

  constructor(
    cast: readonly Character[],
    places: readonly Place[],
    things: readonly Thing[],
    draw: Draw,
  ) {
    this.cast = cast;
    this.places = places;
    this.things = things;
    for (const character of cast) {
      this.#at.set(character, draw.pick(places));
      this.#beliefs.set(character, new Map());
    }
    for (const thing of things) this.#where.set(thing, { kind: "place", place: draw.pick(places) });
    for (const character of cast) this.#lookAround(character);
  }

  placeOf(character: Character): Place {
    return known(this.#at.get(character) ?? this.places[0]);
  }

  whereIs(thing: Thing): Whereabouts {
    return known(this.#where.get(thing));
  }

  /** Where a character believes that a thing is; undefined where they have no idea. */
  belief(character: Character, thing: Thing): Whereabouts | undefined {
    return this.#beliefs.get(character)?.get(thing);
  }

  knowledge(character: Character, thing: Thing): Knowledge {
    const belief = this.belief(character, thing);
    if (belief === undefined) return "ignorant";
    return sameWhereabouts(belief, this.whereIs(thing)) ? "knows" : "mistaken";
  }

  /** Others at the place of a character. */
  company(character: Character): Character[] {
    return this.cast.filter(
      (other) => other !== character && this.placeOf(other) === this.placeOf(character),
    );
  }

  /** All steps that a character can take now, but moves. */
  steps(actor: Character): StoryEvent[] {
    const here = this.placeOf(actor);
    const company = this.company(actor);
    const steps: StoryEvent[] = [];
    for (const thing of this.things) {
      const where = this.whereIs(thing);
      if (where.kind === "place" && where.place === here)
        steps.push({ what: "take", actor, thing });
      const mine = this.#isHeldBy(thing, actor);
      if (mine) steps.push({ what: "put", actor, thing });
      for (const other of company) {
        if (mine) steps.push({ what: "give", actor, other, thing });
        else if (this.knowledge(actor, thing) === "ignorant")
          steps.push({ what: "ask", actor, other, thing });
        else if (
          this.knowledge(actor, thing) === "knows" &&
          this.knowledge(other, thing) !== "knows"
        )
          steps.push({ what: "tell", actor, other, thing });
      }
    }
    return steps;
  }

  /** Changes the state as a step says. */
  apply(event: StoryEvent): void {
    switch (event.what) {
      case "move":
        this.#at.set(event.actor, event.to);
        // Those who were there see who comes, and with what.
        for (const present of [event.actor, ...this.company(event.actor)])
          this.#lookAround(present);
        return;
      case "take":
        this.#where.set(event.thing, { kind: "held", by: event.actor });
        this.#witness(event.actor, event.thing);
        return;
      case "put":
        this.#where.set(event.thing, { kind: "place", place: this.placeOf(event.actor) });
        this.#witness(event.actor, event.thing);
        return;
      case "give":
        this.#where.set(event.thing, { kind: "held", by: event.other });
        this.#witness(event.actor, event.thing);
        return;
      case "tell":
        this.#believe(event.other, event.thing, this.whereIs(event.thing));
        return;
      case "ask":
        return;
    }
  }

  /** All who are with a character see where a thing is. */
  #witness(character: Character, thing: Thing): void {
    for (const present of [character, ...this.company(character)])
      this.#believe(present, thing, this.whereIs(thing));
  }

  /** A character sees what is at their place: things that lie there or that somebody present holds, and what is not there any more. */
  #lookAround(character: Character): void {
    const here = this.placeOf(character);
    for (const thing of this.things) {
      const where = this.whereIs(thing);
      const place = where.kind === "place" ? where.place : this.placeOf(where.by);
      const belief = this.belief(character, thing);
      if (place === here) this.#believe(character, thing, where);
      else if (belief !== undefined && this.#wouldBeAt(belief) === here)
        this.#beliefs.get(character)?.delete(thing);
    }
  }

  /** The place where a thing would be in sight if a belief were true. */
  #wouldBeAt(belief: Whereabouts): Place {
    return belief.kind === "place" ? belief.place : this.placeOf(belief.by);
  }

  #believe(character: Character, thing: Thing, where: Whereabouts): void {
    this.#beliefs.get(character)?.set(thing, where);
  }

  #isHeldBy(thing: Thing, character: Character): boolean {
    const where = this.whereIs(thing);
    return where.kind === "held" && where.by === character;
  }
}

/** Whether two whereabouts are one. */
export function sameWhereabouts(a: Whereabouts, b: Whereabouts): boolean {
  if (a.kind === "place") return b.kind === "place" && a.place === b.place;
  return b.kind === "held" && a.by === b.by;
}

/** `"old mill"`, or `"with Tom"`. */
export function describeWhereabouts(where: Whereabouts): string {
  return where.kind === "place" ? where.place.name : `with ${where.by.name}`;
}

function known<T>(value: T | undefined): T {
  // The constructor gives every character and thing of the story a place.
  return value as T;
}
