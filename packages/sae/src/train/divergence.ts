/** What is remembered of a run's error, to tell when it has exploded. */
export interface DivergenceState {
  /** The least FVU of any batch so far; null before the first. */
  readonly lowest: number | null;
  /** Batches in a row whose FVU was far above it. */
  readonly above: number;
}

/** Before the first batch. */
export const noDivergence: DivergenceState = { lowest: null, above: 0 };

/** How many times its lowest value the FVU must be. */
const ratio = 100;
/** Nothing below this is an explosion: zeros for a reconstruction already give about 1. */
const floor = 10;
/** Batches in a row: a single odd one is no explosion. */
const patience = 10;

/** Takes the FVU of the next batch, which is finite. */
export function followed({ lowest, above }: DivergenceState, fvu: number): DivergenceState {
  const far = lowest !== null && fvu > floor && fvu > ratio * lowest;
  return { lowest: lowest === null ? fvu : Math.min(lowest, fvu), above: far ? above + 1 : 0 };
}

/**
 * Whether a run is past saving: ten batches in a row had an FVU above 10 and above 100 times the lowest so far. SAEs start at an
 * FVU that grows with the square of their width, and come down from there, so that no fixed limit would do.
 */
export function hasExploded({ above }: DivergenceState): boolean {
  return above >= patience;
}
