/**
 * The known name nearest to `given`, or null where none is near enough to be a slip of the finger.
 *
 * Near means an edit distance (insert, delete, replace, swap of neighbours) of at most a third of the length.
 *
 * @example
 * didYouMean("model.layer.0.mlp.up_proj.weight", ["model.layers.0.mlp.up_proj.weight"]); // the known name
 */
export function didYouMean(given: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(given.length / 3)) + 1;
  for (const name of known) {
    if (Math.abs(name.length - given.length) >= bestDistance) continue;
    const distance = editDistance(given.toLowerCase(), name.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Restricted Damerau-Levenshtein distance; gives `limit` as soon as it can only be that or more. */
function editDistance(a: string, b: string, limit: number): number {
  let twoAgo = new Int32Array(b.length + 1);
  let previous = Int32Array.from({ length: b.length + 1 }, (_, index) => index);
  let current = new Int32Array(b.length + 1);
  for (let i = 1; i <= a.length; i++) {
    current[0] = i;
    let smallest = i;
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let value = Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        value = Math.min(value, (twoAgo[j - 2] ?? 0) + 1);
      current[j] = value;
      smallest = Math.min(smallest, value);
    }
    if (smallest >= limit) return limit;
    [twoAgo, previous, current] = [previous, current, twoAgo];
  }
  return previous[b.length] ?? limit;
}
