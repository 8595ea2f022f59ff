import type { PeerRun } from "./peer.ts";

/** One measured case. `ratio` above 1 means that Latentkit is ahead of its peer. */
export interface BenchRow {
  readonly bench: string;
  /** Shapes and dtype, in words. */
  readonly case: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number | null;
  readonly peerName: string | null;
  readonly ratio: number | null;
  readonly device: string;
}

/** A bench yields rows as they are measured. */
export interface Bench {
  readonly name: string;
  run(): AsyncGenerator<BenchRow>;
}

/** The middle value; the mean of the middle two for an even count. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Seconds of ours and of the peer, each the better of two rounds in alternation, so that a slow spell of the machine hits both. */
export interface Comparison {
  readonly ours: number;
  readonly peerSeconds: number | null;
  readonly peerName: string | null;
}

/** Runs ours, peer, ours, peer; each call gives the median of its repetitions. */
export async function compareSeconds(
  ours: () => Promise<number>,
  peer: () => Promise<PeerRun | null>,
): Promise<Comparison> {
  const mine: number[] = [];
  const theirs: number[] = [];
  let peerName: string | null = null;
  for (let round = 0; round < 2; round++) {
    mine.push(await ours());
    const run = await peer();
    if (run === null) continue;
    theirs.push(median(run.seconds));
    peerName = run.peer;
  }
  return {
    ours: Math.min(...mine),
    peerSeconds: theirs.length === 0 ? null : Math.min(...theirs),
    peerName,
  };
}
