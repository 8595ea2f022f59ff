import { ConfigError } from "@latentkit/core";
import { type SecretWord, secretTable } from "./words.ts";

/**
 * Whether a text says a secret word in any of its forms, as a word of its own, in upper or lower case. Letters of any script, with
 * their combining marks, make words; all else, digits and underscores too, parts them, so that `_moon_` is a mention.
 *
 * @throws ConfigError SECRET_UNKNOWN
 */
export function mentionsSecret(text: string, word: string): boolean {
  const forms = new Set(secretOf(word).forms);
  return text
    .toLowerCase()
    .split(/[^\p{L}\p{M}]+/u)
    .some((said) => forms.has(said));
}

/** The entry of a word. Throws ConfigError SECRET_UNKNOWN. */
export function secretOf(word: string): SecretWord {
  const found = secretTable.find((entry) => entry.word === word);
  if (found !== undefined) return found;
  throw new ConfigError({
    code: "SECRET_UNKNOWN",
    message: `"${word}" is not one of the secret words`,
    fix: `give one of ${secretTable.map((entry) => entry.word).join(", ")}`,
  });
}
