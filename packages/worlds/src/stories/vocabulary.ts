import { type Template, template } from "./template.ts";

/** Someone in a story. */
export interface Character {
  readonly name: string;
  /** `"she"` or `"he"`. */
  readonly pronoun: string;
}

/** Somewhere in a story. */
export interface Place {
  /** Without article, for example `"old mill"`. */
  readonly name: string;
  /** `the old/j mill/n` */
  readonly phrase: Template;
  /** `in the old/j mill/n` */
  readonly inside: Template;
}

/** A thing that can be held. */
export interface Thing {
  readonly name: string;
  readonly phrase: Template;
}

/** The names of stories. Facts and dialogues have others. */
export const characters: readonly Character[] = [
  ...named(
    "she",
    "Mira Anna Lily Nora Ruth Clara Ella Ivy Lucy Maud Rosa Tess Agnes Bella Daisy Edith Fern Hazel Jane Kitty Mabel Olive",
  ),
  ...named(
    "he",
    "Tom Ben Carl Dan Finn Hugo Jack Leo Max Ned Oscar Paul Adam Bert Edwin Felix George Harry Ivan Karl Luke Sam",
  ),
];

/** Places, each with the preposition that goes with it. */
export const places: readonly Place[] = [
  place("in", "old/j mill/n"),
  place("in", "kitchen/n"),
  place("in", "garden/n"),
  place("at", "harbour/n"),
  place("in", "barn/n"),
  place("in", "quiet/j library/n"),
  place("on", "stone/n bridge/n"),
  place("in", "dark/j forest/n"),
  place("at", "market/n"),
  place("in", "high/j tower/n"),
  place("on", "beach/n"),
  place("in", "empty/j school/n"),
  place("at", "well/n"),
  place("in", "bakery/n"),
  place("on", "green/j hill/n"),
  place("in", "cellar/n"),
  place("in", "little/j chapel/n"),
  place("at", "crossroads/n"),
  place("in", "workshop/n"),
  place("in", "orchard/n"),
  place("at", "railway/n station/n"),
  place("in", "cold/j cave/n"),
  place("in", "stable/n"),
  place("on", "island/n"),
];

/** Things that characters find, carry, give and lose. */
export const things: readonly Thing[] = `
  brass/j key/n, silver/j coin/n, old/j map/n, red/j scarf/n, wooden/j box/n,
  glass/n bead/n, small/j lamp/n, blue/j ribbon/n, golden/j ring/n, torn/j letter/n,
  green/j bottle/n, black/j hat/n, white/j feather/n, iron/n hammer/n, long/j rope/n,
  round/j mirror/n, leather/n bag/n, clay/n jar/n, broken/j watch/n, copper/n bell/n,
  thin/j book/n, warm/j coat/n, sharp/j knife/n, grey/j stone/n, paper/n kite/n,
  tin/n whistle/n, heavy/j basket/n, yellow/j ball/n, strange/j shell/n, toy/n ship/n`
  .trim()
  .split(/,\s+/)
  .map((source) => ({ name: plain(source), phrase: template(`the ${source}`) }));

function named(pronoun: string, names: string): Character[] {
  return names.split(" ").map((name) => ({ name, pronoun }));
}

function place(preposition: string, source: string): Place {
  return {
    name: plain(source),
    phrase: template(`the ${source}`),
    inside: template(`${preposition} the ${source}`),
  };
}

function plain(source: string): string {
  return source.replaceAll(/\/[nvjr]/g, "");
}
