import { type Template, templates } from "./template.ts";

// Slots: {a} who acts (a pronoun where it is clear), {A} the same by name, {b} someone else, {o} the thing, {p} a place, {at} the place
// with its preposition, {where} where a thing is as somebody says or believes it.

/** Sentences that change who is where, who holds what, or who knows what. */
export const eventPatterns: Readonly<
  Record<"move" | "take" | "give" | "put" | "tell" | "ask", readonly Template[]>
> = {
  move: templates(
    "{a} walked/v slowly/r to {p}.",
    "{a} went/v to {p}.",
    "then {a} ran/v all the way/n to {p}.",
    "after a while/n {a} set/v out for {p}, and soon/r arrived/v there.",
    "without another word/n {a} left/v and came/v to {p}.",
    "a narrow/j path/n led/v {A} to {p}.",
    "{a} hurried/v quietly/r to {p}.",
  ),
  take: templates(
    "{a} found/v {o} there and took/v it.",
    "{a} picked/v up {o}.",
    "{a} carefully/r lifted/v {o} and kept/v it.",
    "there lay/v {o}, and {a} put/v it into a pocket/n.",
    "with a happy/j smile/n {a} took/v {o}.",
  ),
  give: templates(
    "{a} gave/v {o} to {b}.",
    "{a} gladly/r handed/v {o} to {b}.",
    '"Please take/v {o}," said/v {A}, and gave/v it to {b}.',
    "{b} asked/v for {o}, and {A} gave/v it away.",
    "{a} had no more use/n for {o} and passed/v it to {b}.",
  ),
  put: templates(
    "{a} left/v {o} {at}.",
    "{a} put/v {o} down {at}.",
    "{a} carefully/r hid/v {o} {at}.",
    "{o} was heavy/j to carry/v, so {a} left/v it {at}.",
  ),
  tell: templates(
    '"{O} is {where}," {A} told/v {b}.',
    '{a} whispered/v to {b}, "{O} is {where}."',
    '"Listen/v, {b}," said/v {A}, "{o} is {where}."',
    "{a} told/v {b} that {o} was {where}.",
    "{a} spoke/v softly/r, and so {b} learned/v that {o} was {where}.",
  ),
  ask: templates(
    '"Where is {o}?" {A} asked/v {b}.',
    '{a} turned/v to {b} and asked/v, "Have you seen/v {o}?"',
    '"I would dearly/r like/v to find/v {o}," said/v {A} to {b}.',
  ),
};

/** Sentences that say how things stand, and so recall what was told before. */
export const recallPatterns: Readonly<
  Record<"holder" | "lies" | "position" | "knows" | "ignorant" | "mistaken", readonly Template[]>
> = {
  holder: templates(
    "{A} still/r held/v {o}.",
    "{o} was now with {A}.",
    "it was {A} who had {o} now.",
    "{A} looked/v at {o} again, glad/j to have it.",
  ),
  lies: templates(
    "{o} was still/r {at}.",
    "{o} lay/v {at}.",
    "nobody moved/v {o}, which lay/v {at}.",
  ),
  position: templates(
    "{A} was {at}.",
    "all this time/n {A} stayed/v {at}.",
    "{A} waited/v patiently/r {at}.",
  ),
  knows: templates(
    "{A} knew/v that {o} was {where}.",
    "{A} remembered/v well/r that {o} was {where}.",
  ),
  ignorant: templates(
    "{A} did not know/v where {o} was.",
    "{A} had no idea/n where to look/v for {o}.",
  ),
  mistaken: templates(
    "{A} still/r believed/v that {o} was {where}.",
    "{A} wrongly/r thought/v that {o} was {where}.",
  ),
};

/** The first sentences: who is where, and where things lie. */
export const openingPatterns: Readonly<Record<"position" | "lies" | "goal", readonly Template[]>> =
  {
    position: templates(
      "{A} was {at}.",
      "one morning/n {A} sat/v {at}.",
      "early/r that day/n {A} stood/v {at}.",
      "{A} spent/v the morning/n {at}.",
    ),
    lies: templates("{o} lay/v {at}.", "{o} was {at}.", "someone had left/v {o} {at}."),
    goal: templates(
      "{A} badly/r wanted/v {o}.",
      "{A} had lost/v {o} and wished/v to have it back.",
      "{A} had promised/v to bring/v {o} to {b}.",
      "{A} dreamed/v of {o} every night/n.",
    ),
  };

/** Sentences that change nothing. */
export const colourPatterns: readonly Template[] = templates(
  "the wind/n blew/v softly/r.",
  "a light/j rain/n fell/v on the roofs/n.",
  "somewhere a dog/n barked/v loudly/r.",
  "the sun/n was warm/j and bright/j.",
  "clouds/n drifted/v slowly/r over the valley/n.",
  "{A} felt/v tired/j but hopeful/j.",
  "{A} hummed/v an old/j song/n.",
  "it was a cold/j and quiet/j evening/n.",
  "far/r away a bell/n rang/v twice/r.",
  "{A} thought/v about home/n.",
  "the birds/n sang/v merrily/r in the trees/n.",
  '"What a strange/j day/n," said/v {A}.',
  '"We must be patient/j," {A} said/v quietly/r.',
  "a grey/j cat/n watched/v from the wall/n.",
  "{A} laughed/v, and the fear/n was gone/j.",
  "nobody spoke/v for a long/j time/n.",
);

/** Last sentences. */
export const endingPatterns: readonly Template[] = templates(
  "and so the long/j day/n ended/v.",
  "that night/n everyone slept/v well/r.",
  "{A} smiled/v, for the story/n was over/j.",
  "at last/n {A} went/v to bed/n, tired/j and happy/j.",
);
