import { DeviceError } from "@latentkit/core";
import type { BlasLibrary } from "../matmul/provider.ts";
import type { Heap } from "../memory/heap.ts";
import { type TaskName, taskNumber } from "../tasks/index.ts";
import { warnOnce } from "../warning.ts";
import type { WasmMemory, WasmModule } from "../wasm/engine.ts";
import {
  chunkBits,
  chunkMask,
  type Control,
  createControl,
  type Job,
  mostChunks,
  place,
  writeJob,
} from "./control.ts";
import { createEngine, type Engine } from "./engine.ts";
import { guardExit } from "./exit-guard.ts";
import { type Helper, launchHelper } from "./launch.ts";
import { runChunk, workOnJob } from "./work.ts";

/** How a job is divided. */
export interface Division {
  /** Rows, elements or whatever the task counts. */
  readonly count: number;
  /** What one chunk takes of them: 50 to 100 microseconds of work. A job of one chunk stays on the caller's thread. */
  readonly grain: number;
  /** Bytes of scratch memory that each thread needs; none by default. */
  readonly scratchBytes?: number | undefined;
}

/** What {@link Team} is made of. */
export interface TeamParts {
  /** Threads in all, the caller's among them. More than one needs shared memory. */
  readonly threads: number;
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  readonly heap: Heap;
  readonly blas: BlasLibrary | null;
  /** Address of each thread's scratch for matrix products. */
  readonly gemmScratch: (thread: number) => number;
}

/** Looks at the count of finished chunks before going to sleep. */
const patience = 50_000;

/**
 * The caller's thread and helpers that work on one job at a time. A job is cut into chunks of a fixed size, which the threads
 * take one after the other: where another program holds a core, the others do more, and nobody waits for more than a chunk.
 * Helpers start with the first job that has work for them.
 */
export class Team {
  readonly threads: number;
  /** The caller's own engine. */
  readonly engine: Engine;
  readonly #parts: TeamParts;
  /** Null with one thread: pages without cross-origin isolation have no shared memory. */
  readonly #control: Control | null;
  readonly #arenas: WasmMemory[] = [];
  #helpers: Helper[] | null = null;
  #serial = 0;
  #running = false;
  #disposed = false;

  constructor(parts: TeamParts) {
    const { threads, module, memory, blas, gemmScratch } = parts;
    this.#parts = parts;
    this.#control = threads > 1 ? createControl() : null;
    this.threads = threads;
    this.engine = createEngine({ thread: 0, module, memory, blas, scratch: gemmScratch(0) });
  }

  /** Runs a task over `count` in chunks, on all threads, and returns when all of it is done. */
  run(name: TaskName, args: readonly number[], { count, grain, scratchBytes = 0 }: Division): void {
    if (!(count > 0)) return;
    // A chunk is never smaller than asked for, and the division depends on nothing but the job.
    const chunk = Math.max(1, Math.ceil(grain), Math.ceil(count / mostChunks));
    const chunks = Math.ceil(count / chunk);
    // A task that runs a job of its own finds the team busy: then the thread does it alone.
    const control = chunks === 1 || this.#running ? null : this.#control;
    const job = (scratch: number): Job => ({
      task: taskNumber(name),
      count,
      grain: chunk,
      scratch,
      scratchStride: scratchBytes,
      args: new Float64Array(args),
    });
    const start = (scratch: number): void => {
      const own = job(scratch);
      if (control !== null) this.#share(control, own, chunks);
      else for (let index = 0; index < chunks; index++) runChunk(this.engine, own, index);
    };
    if (scratchBytes === 0) start(0);
    else this.#parts.heap.withScratch(scratchBytes * (control === null ? 1 : this.threads), start);
  }

  /** Gives all threads another memory; its place in each engine's `arenas`. */
  attach(memory: WasmMemory): number {
    const index = this.engine.attach(memory);
    this.#arenas.push(memory);
    for (const helper of this.#helpers ?? []) helper.attach(memory);
    if (this.#control !== null)
      Atomics.store(this.#control.words, place.arenas, this.#arenas.length);
    return index;
  }

  /** Tells the helpers to end, which they do between two jobs. A second call does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#control !== null) {
      Atomics.store(this.#control.words, place.quit, 1);
      this.#publish(this.#control, 1, 1); // a ticket without chunks left, so that sleepers wake
    }
    this.#helpers = null;
  }

  #share(control: Control, job: Job, chunks: number): void {
    const { words } = control;
    this.#helpers ??= this.#launch(control);
    this.#running = true;
    try {
      // Closed first: a helper that still looks at the last job must not take a chunk of a half-written one.
      Atomics.store(words, place.ticket, ticketOf(this.#serial, chunkMask));
      writeJob(control, job);
      this.#publish(control, chunks, 0);
      workOnJob(control, this.engine);
      this.#join(control, chunks);
    } finally {
      this.#running = false;
    }
    if (Atomics.load(words, place.failed) === 0) return;
    throw new DeviceError({
      code: "KERNEL_ABORTED",
      message: "a WebAssembly kernel stopped",
      fix: "this is a fault in Latentkit: report it",
    });
  }

  #publish({ words }: Control, chunks: number, first: number): void {
    Atomics.store(words, place.chunks, chunks);
    Atomics.store(words, place.done, 0);
    Atomics.store(words, place.failed, 0);
    // From 1 up: a ticket of 0 says that there was no job yet.
    this.#serial = (this.#serial % (2 ** (32 - chunkBits) - 1)) + 1;
    Atomics.store(words, place.ticket, ticketOf(this.#serial, first));
    if (Atomics.load(words, place.sleeping) > 0) Atomics.notify(words, place.ticket);
  }

  #join({ words }: Control, chunks: number): void {
    let looks = 0;
    for (;;) {
      const done = Atomics.load(words, place.done);
      if (done === chunks) return;
      if (++looks < patience) continue;
      Atomics.store(words, place.callerSleeps, 1);
      // The last chunk may have been finished before the flag was up: never sleep for long.
      Atomics.wait(words, place.done, done, 1);
      Atomics.store(words, place.callerSleeps, 0);
    }
  }

  #launch(control: Control): Helper[] {
    const { threads, module, memory, blas, gemmScratch } = this.#parts;
    if (blas !== null) guardExit(control.words, threads - 1);
    const helpers = Array.from({ length: threads - 1 }, (_, index) =>
      launchHelper(
        {
          control: control.memory,
          module,
          memory,
          thread: index + 1,
          scratch: gemmScratch(index + 1),
          library: blas?.origin ?? null,
        },
        warnOfHelper,
      ),
    );
    for (const helper of helpers) for (const arena of this.#arenas) helper.attach(arena);
    return helpers;
  }
}

function ticketOf(serial: number, chunk: number): number {
  return (serial << chunkBits) | chunk;
}

/** A helper that does not start is no reason to stop: the caller's thread does all the work. */
function warnOfHelper(error: Error): void {
  warnOnce(
    "HELPER_STOPPED",
    `a helper thread stopped (${error.message}); the CPU device goes on with fewer threads`,
  );
}
