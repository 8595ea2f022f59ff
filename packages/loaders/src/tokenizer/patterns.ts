import { definitionError } from "./definition.ts";
import { libraryPattern } from "./library.ts";

/**
 * What a step of a tokenizer looks for, `{ String }` or `{ Regex }`, as an expression with the flags `gu`. A `Regex` is in
 * Oniguruma's dialect and is translated.
 *
 * @param step the step, for messages.
 */
export function parsePattern(pattern: unknown, step: string): RegExp {
  if (typeof pattern === "object" && pattern !== null) {
    if ("String" in pattern && typeof pattern.String === "string" && pattern.String !== "")
      return new RegExp(escapePattern(pattern.String), "gu");
    if ("Regex" in pattern && typeof pattern.Regex === "string" && pattern.Regex !== "")
      return libraryPattern(pattern.Regex);
  }
  throw definitionError(`${step} has neither a String nor a Regex to look for`);
}

/** A pattern that matches `text` and nothing else. */
export function escapePattern(text: string): string {
  return text.replaceAll(/[$()*+.?[\\\]^{|}/]/g, String.raw`\$&`);
}
