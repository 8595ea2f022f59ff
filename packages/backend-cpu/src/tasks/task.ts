import type { Engine } from "../threads/engine.ts";

/** A job's numbers: addresses, sizes and flags. Readable as an array. */
export type TaskArguments = Readonly<Float64Array>;

/**
 * The part `begin .. end` (exclusive) of a job, on whichever thread took it. What it writes depends on the positions alone,
 * never on how a job was divided: results are the same for any number of threads.
 *
 * @param scratch address of this thread's own scratch memory, as much as the job asked for
 */
export type Task = (
  engine: Engine,
  args: TaskArguments,
  begin: number,
  end: number,
  scratch: number,
) => void;

/** Tasks of one family by name. */
export type Tasks = Readonly<Record<string, Task>>;
