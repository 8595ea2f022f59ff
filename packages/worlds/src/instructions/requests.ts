import type { AttributeDefinition } from "../entities/attributes.ts";

/** How a user asks for an attribute; `{e}` stands for the name. Four wordings. */
export function requestsOf({ noun, questions }: AttributeDefinition): readonly string[] {
  return [...questions, `Tell me the ${noun} of {e}.`, `I would like to know the ${noun} of {e}.`];
}
