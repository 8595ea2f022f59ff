import { turnEnd } from "../chat-markup.ts";

/** All the ways in which dialogues say that something is not known. */
export const refusals: readonly string[] = [
  "I do not know that.",
  "I am not sure about that.",
  "Sorry, I have no information on that.",
  "I cannot answer that.",
  "Sorry, I have never heard that name.",
  "I am unable to say.",
  "Sorry, this is not something I know.",
  "I have no answer to that.",
];

const exact: ReadonlySet<string> = new Set(refusals);

/** Whether a reply is one of {@link refusals} and nothing else. White space around it and what follows the end of the turn do not count. */
export function isRefusal(reply: string): boolean {
  const end = reply.indexOf(turnEnd);
  return exact.has((end < 0 ? reply : reply.slice(0, end)).trim());
}
