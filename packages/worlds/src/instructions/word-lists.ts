const words = (text: string): readonly string[] => text.split(" ");

/** Members by category, for lists. Each member belongs to one category only. */
export const categories: Readonly<Record<string, readonly string[]>> = {
  fruits: words("apple pear plum cherry peach grape lemon melon fig banana"),
  animals: words("cow sheep pig hen duck mouse deer donkey camel monkey"),
  tools: words("hammer saw drill spade rake axe file chisel pliers spanner"),
  clothes: words("coat hat scarf shirt sock glove belt jacket skirt boot"),
  drinks: words("water milk juice coffee cocoa cider lemonade tea broth punch"),
  rooms: words("kitchen bedroom bathroom attic cellar hall study pantry lounge nursery"),
  vegetables: words("carrot onion potato leek bean pea cabbage turnip radish spinach"),
  furniture: words("table chair bed desk shelf sofa stool bench wardrobe cupboard"),
};

/** Adjectives, nouns and verbs that make phrases. */
export const phraseWords = {
  adjectives: words("small warm quiet bright heavy clean round soft early late sharp plain"),
  nouns: words("cloud stone leaf basket pencil blanket bottle button ticket ribbon pillow spoon"),
  verbs: words("falls waits moves turns stays shines rolls floats rests returns"),
  places: [
    "on the hill",
    "near the gate",
    "in the box",
    "under the bed",
    "by the wall",
    "at the door",
    "over the lake",
    "behind the shed",
  ],
} as const;

/** Pairs of opposites; both directions are asked. */
export const opposites: readonly (readonly [string, string])[] = [
  ["hot", "cold"],
  ["big", "small"],
  ["tall", "short"],
  ["fast", "slow"],
  ["open", "closed"],
  ["full", "empty"],
  ["hard", "soft"],
  ["wet", "dry"],
  ["old", "new"],
  ["dark", "light"],
  ["near", "far"],
  ["early", "late"],
  ["high", "low"],
  ["left", "right"],
  ["loud", "quiet"],
  ["thick", "thin"],
  ["strong", "weak"],
  ["clean", "dirty"],
  ["rich", "poor"],
  ["first", "last"],
];

/** Questions that one word answers. */
export const oneWordQuestions: readonly (readonly [string, string])[] = [
  ["What do bees make?", "honey"],
  ["What falls from clouds?", "rain"],
  ["What do cows give?", "milk"],
  ["Which season follows winter?", "spring"],
  ["Which day follows Monday?", "Tuesday"],
  ["Which month follows May?", "June"],
  ["What do we read?", "books"],
  ["What do fish swim in?", "water"],
  ["What shines at night?", "stars"],
  ["What do hens lay?", "eggs"],
  ["What do we sleep in?", "beds"],
  ["What opens a lock?", "key"],
  ["Which meal comes first in the day?", "breakfast"],
  ["What do we write with?", "pens"],
  ["What is frozen water called?", "ice"],
  ["What do we hear with?", "ears"],
  ["What do we see with?", "eyes"],
  ["How many legs has a spider?", "eight"],
  ["How many days has a week?", "seven"],
  ["Which day comes before Sunday?", "Saturday"],
];

/** Words to spell and to compare in length. */
export const plainWords: readonly string[] = words(
  "sun boat lamp tree bread table river stone cloud window garden pencil basket blanket kitchen lantern mountain umbrella sandwich calendar",
);

/** Names to greet. */
export const greetedNames: readonly string[] = words(
  "Adam Clara Daisy Edwin George Hazel Ivan Jane Kitty Lucy Ned Nora Oscar Paul Rosa Ruth",
);
