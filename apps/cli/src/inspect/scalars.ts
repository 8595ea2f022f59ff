/** The entries of an object that fit on a line, nested ones with dotted names. */
export function scalarsOf(
  value: Readonly<Record<string, unknown>>,
  prefix = "",
): Record<string, string | number | boolean | null> {
  const facts: Record<string, string | number | boolean | null> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (
      typeof entry === "string" ||
      typeof entry === "number" ||
      typeof entry === "boolean" ||
      entry === null
    )
      facts[prefix + key] = entry;
    else if (
      typeof entry === "object" &&
      entry !== null &&
      !Array.isArray(entry) &&
      prefix === ""
    ) {
      // A nested object is a plain record here: it came out of JSON.
      Object.assign(facts, scalarsOf(entry as Record<string, unknown>, `${key}.`));
    }
  }
  return facts;
}
