/** What a head attends to, in means over queries. */
export interface HeadStatistics {
  /** Entropy of the pattern in nats, over queries after the first: 0 where a head attends to one key. */
  readonly entropy: number;
  /** Attention to the token before, over queries after the first. */
  readonly previousToken: number;
  /** Attention to the first token, over queries after the first. */
  readonly firstToken: number;
  /** Attention to earlier occurrences of the query's own token, over queries that have any; NaN where none has. */
  readonly duplicateToken: number;
  /** Attention to tokens that followed earlier occurrences of the query's token, over queries that have any; NaN where none has. */
  readonly induction: number;
}

/**
 * The statistics of one head.
 *
 * @param patterns for each sequence its pattern `[query, key]`, flat
 * @param tokens the sequences; with one token, all statistics are NaN
 */
export function headStatistics(
  patterns: readonly Float32Array[],
  tokens: readonly ArrayLike<number>[],
): HeadStatistics {
  const entropy = new Mean();
  const previousToken = new Mean();
  const firstToken = new Mean();
  const duplicateToken = new Mean();
  const induction = new Mean();
  for (const [row, sequence] of tokens.entries()) {
    const { length } = sequence;
    const pattern = patterns[row] ?? new Float32Array(length * length);
    for (let query = 1; query < length; query++) {
      const seen = pattern.subarray(query * length, query * length + query + 1);
      entropy.add(seen.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0));
      previousToken.add(seen[query - 1] ?? Number.NaN);
      firstToken.add(seen[0] ?? Number.NaN);
      const same = earlier(sequence, query);
      if (same.length > 0) duplicateToken.add(total(seen, same));
      // What follows the token just before the query is the query itself.
      const after = same.map((key) => key + 1).filter((key) => key < query);
      if (after.length > 0) induction.add(total(seen, after));
    }
  }
  return {
    entropy: entropy.value,
    previousToken: previousToken.value,
    firstToken: firstToken.value,
    duplicateToken: duplicateToken.value,
    induction: induction.value,
  };
}

/** Places before the query that hold its token. */
function earlier(sequence: ArrayLike<number>, query: number): number[] {
  const found: number[] = [];
  for (let key = 0; key < query; key++) if (sequence[key] === sequence[query]) found.push(key);
  return found;
}

function total(pattern: Float32Array, keys: readonly number[]): number {
  return keys.reduce((sum, key) => sum + (pattern[key] ?? Number.NaN), 0);
}

class Mean {
  #sum = 0;
  #count = 0;

  add(value: number): void {
    this.#sum += value;
    this.#count++;
  }

  get value(): number {
    return this.#sum / this.#count;
  }
}
