/** A kind of idea: what it can be called, and what can be said of it. */
export interface IdeaFrame {
  readonly kind: string;
  /** Subjects, for example `"the red box"`; two of them become the ideas of a document. */
  readonly subjects: readonly string[];
  /** Stands for the subject inside its chunk. */
  readonly pronoun: string;
  readonly attributes: readonly IdeaAttribute[];
  /** Sentences with one word of the idea's theme: `{s}` the subject or pronoun, `{w}` the word. */
  readonly themes: readonly string[];
}

/** Something that an idea has one value of in each document. */
export interface IdeaAttribute {
  readonly name: string;
  readonly values: readonly string[];
  /** Sentences inside a chunk: `{s}` the subject or pronoun, `{v}` the value. */
  readonly sentences: readonly string[];
  /** How the sentence that recalls it goes: `{s}` the subject, and the value at the end. */
  readonly recall: string;
}

/** Vocabularies of which each idea of a document gets one. */
export const themes: Readonly<Record<string, readonly string[]>> = {
  sea: ["waves", "salt", "sails", "gulls", "anchors", "tides", "pearls", "nets"],
  forest: ["moss", "pines", "owls", "ferns", "roots", "acorns", "foxes", "mushrooms"],
  winter: ["snow", "ice", "frost", "mittens", "sledges", "icicles", "storms", "furs"],
  music: ["drums", "flutes", "songs", "strings", "trumpets", "choirs", "bells", "dances"],
  kitchen: ["bread", "soup", "butter", "spoons", "ovens", "honey", "cakes", "onions"],
  stars: ["moons", "comets", "planets", "rockets", "orbits", "meteors", "eclipses", "suns"],
  war: ["swords", "shields", "castles", "armies", "banners", "towers", "knights", "drills"],
  garden: ["roses", "bees", "seeds", "spades", "tulips", "hedges", "lilies", "apples"],
};

const colours = ["red", "blue", "green", "black", "white", "yellow", "grey", "purple"];

/** All frames. Sentences end on the value where a value is recalled, so that a prompt can end just before it. */
export const ideaFrames: readonly IdeaFrame[] = [
  {
    kind: "boxes",
    subjects: colours.map((colour) => `the ${colour} box`),
    pronoun: "it",
    attributes: [
      {
        name: "content",
        values: ["coin", "ring", "key", "pearl", "letter", "watch", "feather", "stone"],
        sentences: [
          "Inside {s} was the {v}.",
          "Whoever opened {s} found the {v}.",
          "The {v} was safe in {s}.",
        ],
        recall: "{S} held the",
      },
      {
        name: "material",
        values: ["oak", "iron", "glass", "leather", "paper", "silver", "clay", "ivory"],
        sentences: [
          "{S} was made of {v}.",
          "A craftsman had built {s} of {v}.",
          "One could feel the {v} of {s}.",
        ],
        recall: "{S} was made of",
      },
      {
        name: "owner",
        values: ["baker", "sailor", "teacher", "doctor", "miller", "painter", "farmer", "judge"],
        sentences: [
          "{S} belonged to the {v}.",
          "The {v} had bought {s} long ago.",
          "Only the {v} could open {s}.",
        ],
        recall: "{S} belonged to the",
      },
      {
        name: "room",
        values: ["attic", "cellar", "hall", "kitchen", "library", "stable", "tower", "garden"],
        sentences: [
          "{S} stood in the {v}.",
          "Somebody had carried {s} to the {v}.",
          "To see {s} one went to the {v}.",
        ],
        recall: "{S} stood in the",
      },
    ],
    themes: ["Around {s} lay {w}.", "On {s} somebody had drawn {w}.", "{S} smelled of {w}."],
  },
  {
    kind: "towns",
    subjects: ["Alder", "Brook", "Cliff", "Dell", "Ember", "Fallow", "Grove", "Heath"].map(
      (name) => `the town of ${name}`,
    ),
    pronoun: "it",
    attributes: [
      {
        name: "trade",
        values: ["cheese", "wool", "glass", "paper", "boats", "clocks", "bricks", "silk"],
        sentences: [
          "{S} was known for its {v}.",
          "Merchants came to {s} for {v}.",
          "In {s} everybody sold {v}.",
        ],
        recall: "{S} was known for its",
      },
      {
        name: "weather",
        values: ["rain", "fog", "sunshine", "wind", "hail", "snowfall", "thunder", "drizzle"],
        sentences: [
          "Over {s} there was always {v}.",
          "{S} had a great deal of {v}.",
          "Visitors to {s} complained of the {v}.",
        ],
        recall: "Over {s} there was always",
      },
      {
        name: "ruler",
        values: ["queen", "mayor", "bishop", "captain", "duke", "abbot", "prince", "council"],
        sentences: [
          "{S} was ruled by the {v}.",
          "In {s} the {v} made the laws.",
          "All the taxes of {s} went to the {v}.",
        ],
        recall: "{S} was ruled by the",
      },
      {
        name: "animal",
        values: ["goats", "horses", "geese", "cats", "dogs", "sheep", "pigs", "donkeys"],
        sentences: [
          "The streets of {s} were full of {v}.",
          "{S} kept many {v}.",
          "A traveller in {s} heard the {v} at night.",
        ],
        recall: "{S} kept many",
      },
    ],
    themes: [
      "People in {s} spoke of {w}.",
      "The walls of {s} were painted with {w}.",
      "Every feast in {s} was about {w}.",
    ],
  },
  {
    kind: "guests",
    subjects: ["first", "second", "tall", "short", "old", "young", "quiet", "merry"].map(
      (word) => `the ${word} guest`,
    ),
    pronoun: "this guest",
    attributes: [
      {
        name: "work",
        values: ["carpenter", "lawyer", "gardener", "poet", "nurse", "pilot", "smith", "tailor"],
        sentences: [
          "{S} worked as a {v}.",
          "For years {s} had been a {v}.",
          "Being a {v} made {s} proud.",
        ],
        recall: "{S} worked as a",
      },
      {
        name: "drink",
        values: ["tea", "coffee", "milk", "water", "cider", "lemonade", "cocoa", "juice"],
        sentences: [
          "{S} drank nothing but {v}.",
          "The waiter brought {s} some {v}.",
          "A cup of {v} stood before {s}.",
        ],
        recall: "{S} drank nothing but",
      },
      {
        name: "home",
        values: ["mountains", "coast", "city", "desert", "islands", "valley", "border", "north"],
        sentences: [
          "{S} came from the {v}.",
          "At home in the {v} people knew {s} well.",
          "In a letter {s} wrote about the {v}.",
        ],
        recall: "{S} came from the",
      },
      {
        name: "mood",
        values: ["cheerful", "worried", "sleepy", "angry", "curious", "proud", "lonely", "calm"],
        sentences: [
          "{S} was {v}.",
          "All evening {s} looked {v}.",
          "Nobody asked why {s} seemed so {v}.",
        ],
        recall: "All evening {s} looked",
      },
    ],
    themes: [
      "{S} talked about {w}.",
      "The stories of {s} were full of {w}.",
      "A picture of {w} had been brought by {s}.",
    ],
  },
];
