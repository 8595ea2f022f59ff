import type { PeerRun } from "./peer.ts";
import { type BenchRow, median } from "./rows.ts";

/** A peer's times, by round. */
export interface PeerTimes {
  readonly name: string;
  readonly seconds: number;
}

/** Median seconds of ours and of each peer, see {@link alternate}. */
export interface Alternation {
  readonly ours: number;
  readonly peers: readonly (PeerTimes | null)[];
}

/**
 * Runs ours and every peer once a round, in turn, so that a slow spell of the machine hits all of them, and takes the median of each.
 *
 * @param ours seconds of one run
 * @param peers each gives the seconds of one run, or null where it is not installed
 */
export async function alternate(
  rounds: number,
  ours: () => Promise<number>,
  peers: readonly (() => Promise<PeerRun | null>)[] = [],
): Promise<Alternation> {
  const mine: number[] = [];
  const theirs = peers.map(() => ({ name: "", seconds: new Array<number>() }));
  for (let round = 0; round < rounds; round++) {
    mine.push(await ours());
    for (const [index, times] of theirs.entries()) {
      const run = await peers[index]?.();
      if (run === null || run === undefined) continue;
      times.name = run.peer;
      times.seconds.push(...run.seconds);
    }
  }
  return {
    ours: median(mine),
    peers: theirs.map(({ name, seconds }) =>
      seconds.length === 0 ? null : { name, seconds: median(seconds) },
    ),
  };
}

/** A row of `amount / seconds`, for ours and one peer. */
export function rateRow(
  row: Pick<BenchRow, "bench" | "case" | "device" | "unit">,
  amount: number,
  ours: number,
  peer: PeerTimes | null | undefined,
): BenchRow {
  return {
    ...row,
    ours: amount / ours,
    peer: peer ? amount / peer.seconds : null,
    peerName: peer?.name ?? null,
    ratio: peer ? peer.seconds / ours : null,
  };
}
