import type { TextBuilder } from "../text-builder.ts";
import type { StatedFact } from "./sampler.ts";
import type { Entity } from "./types.ts";

/** What fills a template's slots. */
export interface TemplateSlots {
  readonly entity: Entity;
  /** Needed where the template has `{v}`. */
  readonly fact?: StatedFact | undefined;
  /** What follows the name, from `familiarityCues`. */
  readonly cue?: string | undefined;
}

/**
 * Writes a template with its labels: `{e}` as span `entity` (and `cue`), `{v}` as span `value`, `{a}` as the value's article.
 */
export function writeTemplate(builder: TextBuilder, template: string, slots: TemplateSlots): void {
  const { entity, fact, cue } = slots;
  let rest = template;
  while (rest.length > 0) {
    const slot = rest.indexOf("{");
    if (slot < 0) break;
    builder.add(rest.slice(0, slot));
    const name = rest[slot + 1];
    rest = rest.slice(slot + 3);
    if (name === "e") writeEntity(builder, entity, cue, rest);
    else if (name === "a") builder.add(fact?.attribute.article ?? "");
    else if (fact !== undefined) builder.label(fact.value, "value", valueFacts(entity, fact));
  }
  builder.add(rest);
}

/** Fills a template without labels, for prompts. */
export function fillTemplate(template: string, entity: Entity, fact?: StatedFact): string {
  return template
    .replaceAll("{e}", entity.name)
    .replaceAll("{a}", fact?.attribute.article ?? "")
    .replaceAll("{v}", fact?.value ?? "");
}

function writeEntity(
  builder: TextBuilder,
  entity: Entity,
  cue: string | undefined,
  rest: string,
): void {
  const { type, group, name, rank } = entity;
  builder.label(name, "entity", { type, group, name, rank });
  if (cue === undefined) return;
  builder.label(cue, "cue", { kind: group === "known" ? "known" : "tail", name });
  // A cue that a comma opens is closed by one, unless there is a mark already.
  if (cue.startsWith(",") && rest.startsWith(" ")) builder.add(",");
}

function valueFacts(
  entity: Entity,
  { attribute, value, correct }: StatedFact,
): Record<string, string | boolean> {
  return { type: entity.type, name: entity.name, attribute: attribute.attribute, value, correct };
}
