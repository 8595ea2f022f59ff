import type { Draw } from "../draw.ts";

const subjects = [
  "The rain",
  "The wind",
  "The clock",
  "The old door",
  "The kettle",
  "The path",
  "The fire",
  "The lamp",
  "The last train",
  "The snow",
  "The crowd",
  "The lift",
  "The road",
  "The bell",
  "The fence",
  "The light",
  "The morning post",
  "The queue",
  "The tap",
  "The fog",
];
const verbs = [
  "stopped",
  "came back",
  "was late",
  "made no sound",
  "seemed far off",
  "was as usual",
  "went on",
  "changed little",
  "was soon forgotten",
  "took a while",
  "moved slowly",
  "surprised nobody",
];
const ends = [
  "",
  " by noon",
  " that week",
  " after lunch",
  " again",
  " for an hour",
  " before dark",
  " without a reason",
  " all day",
  " on Monday",
];

/** A short sentence that names nobody, for the text between facts. There are 2,400. */
export function fillerSentence(draw: Draw): string {
  return `${draw.pick(subjects)} ${draw.pick(verbs)}${draw.pick(ends)}.`;
}
