/**
 * The first key that an object of this JSON text repeats, or null. `JSON.parse` keeps the last of them in silence, so two readers
 * could see two different files. The text must already be known to parse.
 */
export function findDuplicateKey(json: string): string | null {
  const scopes: (Set<string> | null)[] = [];
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === "{") scopes.push(new Set());
    else if (character === "[") scopes.push(null);
    else if (character === "}" || character === "]") scopes.pop();
    else if (character === '"') {
      const start = at;
      for (at++; json[at] !== '"'; at++) if (json[at] === "\\") at++;
      const keys = scopes.at(-1);
      if (keys === null || keys === undefined || !isKey(json, at + 1)) continue;
      const key: unknown = JSON.parse(json.slice(start, at + 1));
      if (typeof key !== "string") continue;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}

/** Whether a colon follows, after white space. */
function isKey(json: string, from: number): boolean {
  let at = from;
  while (json[at] === " " || json[at] === "\n" || json[at] === "\t" || json[at] === "\r") at++;
  return json[at] === ":";
}
