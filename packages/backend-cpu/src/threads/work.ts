import { taskOf } from "../tasks/index.ts";
import { chunkMask, type Control, type Job, place, readJob } from "./control.ts";
import type { Engine } from "./engine.ts";

/** Takes chunks of the current job and works on them until none is left; returns the ticket that was seen last. */
export function workOnJob(control: Control, engine: Engine): number {
  const { words } = control;
  let job: Job | null = null;
  let serial = -1;
  for (;;) {
    const ticket = Atomics.load(words, place.ticket);
    if (ticket >>> 0 === 0) return ticket; // no job yet
    const chunks = Atomics.load(words, place.chunks);
    const chunk = ticket & chunkMask;
    if (chunk >= chunks) return ticket;
    // The job may use a memory that has not arrived yet.
    if (Atomics.load(words, place.arenas) > engine.arenas.length) return ticket;
    if (job === null || serial !== ticket - chunk) {
      job = readJob(control);
      serial = ticket - chunk;
    }
    // Succeeds only if the ticket is still the one that was there before the arguments were read.
    if (Atomics.compareExchange(words, place.ticket, ticket, ticket + 1) !== ticket) continue;
    try {
      runChunk(engine, job, chunk);
    } catch {
      Atomics.add(words, place.failed, 1);
    }
    if (
      Atomics.add(words, place.done, 1) + 1 === chunks &&
      Atomics.load(words, place.callerSleeps) === 1
    )
      Atomics.notify(words, place.done);
  }
}

/** One chunk of a job on this thread. */
export function runChunk(engine: Engine, job: Job, chunk: number): void {
  const { task, count, grain, scratch, scratchStride, args } = job;
  const begin = chunk * grain;
  taskOf(task)(
    engine,
    args,
    begin,
    Math.min(count, begin + grain),
    scratch + engine.thread * scratchStride,
  );
}
