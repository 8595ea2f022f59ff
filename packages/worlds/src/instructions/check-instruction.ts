import { turnEnd } from "../chat-markup.ts";
import type { InstructionTask } from "./tasks.ts";

/**
 * Whether a reply does what the task asks. White space around the reply and what follows the end of the turn do not count; for the
 * rest the checks are exact, except that a full stop at the end is allowed where the answer is a word, a number or a list, and its
 * capital letters do not matter.
 */
export function checkInstruction(task: InstructionTask, reply: string): boolean {
  const end = reply.indexOf(turnEnd);
  const text = (end < 0 ? reply : reply.slice(0, end)).trim();
  const plain = text.replace(/\.$/, "").toLowerCase();
  switch (task.kind) {
    case "repeat":
      return text === task.phrase;
    case "capitals":
      return text === task.phrase.toUpperCase();
    case "count":
      return plain === String(task.count);
    case "list": {
      const items = itemsOf(plain);
      return (
        items.length === task.count &&
        new Set(items).size === items.length &&
        items.every((item) => task.members.includes(item))
      );
    }
    case "reverse":
      return sameItems(itemsOf(plain), task.items.toReversed());
    case "one-word":
    case "longer":
    case "opposite":
      return plain === task.answer.toLowerCase();
    case "sum":
      return plain === String(task.sum);
    case "continue":
      return sameItems(itemsOf(plain), task.next.map(String));
    case "spell":
      return plain === [...task.word].join("-");
    case "greet":
      return (
        /^(?:hello|good day)\b/i.test(text) && new RegExp(String.raw`\b${task.name}\b`).test(text)
      );
    default:
      return task satisfies never;
  }
}

function itemsOf(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

function sameItems(given: readonly string[], expected: readonly string[]): boolean {
  return (
    given.length === expected.length && given.every((item, position) => item === expected[position])
  );
}
