// The block of shared numbers by which a team's threads agree on who does what. Integers first, then a job's arguments.

/** Most arguments of a job; a job with more fails as it is written. */
const mostArguments = 56;

const words = 16;
/** Numbers in front of a job's own arguments. */
const header = 5;

/**
 * Places of the integers. The ticket is the job's serial number above {@link chunkBits} bits that count the chunks handed out:
 * one compare-and-exchange takes a chunk and proves that the job is still the one whose arguments were read.
 */
export const place = {
  ticket: 0,
  /** Chunks of the job in all. */
  chunks: 1,
  /** Chunks that are finished. */
  done: 2,
  /** Helpers that sleep until the ticket changes. */
  sleeping: 3,
  /** Whether the caller sleeps until all is done. */
  callerSleeps: 4,
  /** Chunks that threw. */
  failed: 5,
  quit: 6,
  /** Memories attached so far. */
  arenas: 7,
  /** Helpers that have loaded their library, or failed to. */
  loaded: 8,
} as const;

/** Bits of the ticket that count chunks. The rest holds a million serial numbers before one comes again. */
export const chunkBits = 12;
/** Most chunks of a job. */
export const mostChunks = 2 ** chunkBits - 1;
export const chunkMask = 2 ** chunkBits - 1;

/** The control block as both sides see it. */
export interface Control {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  /** `[task, count, grain, scratch, scratchStride, ...arguments]`. */
  readonly job: Float64Array;
}

/** A job as a thread read it from the control block. */
export interface Job {
  readonly task: number;
  readonly count: number;
  readonly grain: number;
  readonly scratch: number;
  readonly scratchStride: number;
  readonly args: Float64Array;
}

export function createControl(): Control {
  return controlOver(new SharedArrayBuffer(words * 4 + (header + mostArguments) * 8));
}

export function controlOver(memory: SharedArrayBuffer): Control {
  return {
    memory,
    words: new Int32Array(memory, 0, words),
    job: new Float64Array(memory, words * 4, header + mostArguments),
  };
}

export function writeJob(
  { job }: Control,
  { task, count, grain, scratch, scratchStride, args }: Job,
): void {
  job[0] = task;
  job[1] = count;
  job[2] = grain;
  job[3] = scratch;
  job[4] = scratchStride;
  job.set(args, header);
}

/** A copy: the block may hold the next job a moment later. */
export function readJob({ job }: Control): Job {
  const [task = 0, count = 0, grain = 1, scratch = 0, scratchStride = 0] = job;
  return { task, count, grain, scratch, scratchStride, args: job.slice(header) };
}
