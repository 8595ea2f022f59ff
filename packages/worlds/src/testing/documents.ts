import { renderTurns } from "../chat-markup.ts";
import type { Span, World, WorldDocument } from "../document.ts";
import type { EntityTable } from "../entities/types.ts";

/** The first `count` documents of a world. */
export function* documentsOf(world: World, count: number): Generator<WorldDocument> {
  for (let index = 0; index < count; index++) yield world.document(index);
}

/** What is wrong with a document's labels; empty if nothing is. */
export function faultsOf({ text, turns, spans, world }: WorldDocument): string[] {
  const faults: string[] = [];
  if (turns !== null && renderTurns(turns) !== text)
    faults.push(`${world}: the turns do not render to the text`);
  let previous = 0;
  const open: Span[] = [];
  for (const span of spans) {
    const { start, end, label, facts } = span;
    const covered = text.slice(start, end);
    if (start < previous) faults.push(`${label} begins before the span that precedes it`);
    if (start < 0 || end > text.length || end <= start)
      faults.push(`${label} is empty or outside the text`);
    if (covered.trim() !== covered && label !== "cue")
      faults.push(`${label} "${covered}" has white space around it`);
    if (label === "entity" && covered !== facts["name"])
      faults.push(`entity covers "${covered}", not ${facts["name"]}`);
    if (label === "value" && covered !== facts["value"])
      faults.push(`value covers "${covered}", not ${facts["value"]}`);
    if (label === "answer" && covered !== facts["answer"])
      faults.push(`answer covers "${covered}", not ${facts["answer"]}`);
    while (open.length > 0 && (open.at(-1)?.end ?? 0) <= start) open.pop();
    if (end > (open.at(-1)?.end ?? text.length))
      faults.push(`${label} overlaps ${open.at(-1)?.label ?? "the end"}`);
    open.push(span);
    previous = start;
  }
  return faults;
}

/** Finds whole names of a table's group in texts. */
export function nameFinder(
  table: EntityTable,
  group: "known" | "tail" | "refused" | "unseen",
): (text: string) => string[] {
  const pairs = new Map(
    table.entities
      .filter((entity) => entity.group === group)
      .map(({ first, second, name }) => [`${first} ${second}`, name]),
  );
  return (text) => {
    const words = text.split(/[^A-Za-z]+/);
    return words.flatMap((word, index) => pairs.get(`${word} ${words[index + 1] ?? ""}`) ?? []);
  };
}
