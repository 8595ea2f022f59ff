import { nodeBuiltin } from "../matmul/host.ts";
import type { BlasOrigin } from "../matmul/provider.ts";
import type { WasmMemory, WasmModule } from "../wasm/engine.ts";
import { helperSource } from "./helper.generated.ts";

/** What a helper thread begins with. */
export interface HelperStart {
  readonly control: SharedArrayBuffer;
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  readonly thread: number;
  /** Address of the thread's own scratch for matrix products. */
  readonly scratch: number;
  readonly library: BlasOrigin | null;
}

/** A running helper thread. */
export interface Helper {
  /** Sends another memory, for {@link HelperStart.module} to work on as well. */
  attach(memory: WasmMemory): void;
}

interface WorkerThreads {
  readonly Worker: new (
    source: string,
    options: Readonly<Record<string, unknown>>,
  ) => {
    unref(): void;
    on(event: "error", listener: (error: Error) => void): void;
    postMessage(message: unknown): void;
  };
}

/** Whether this host can start helpers: Node can; elsewhere one thread does all. */
export function canLaunch(): boolean {
  return nodeBuiltin("node:worker_threads") !== null;
}

/**
 * Starts a helper; it takes part in jobs as soon as it runs. It keeps no process alive, and ends by itself once the control says so: to
 * terminate a thread while it loads a library can abort the process, because native code cannot throw there any more.
 */
export function launchHelper(start: HelperStart, onError: (error: Error) => void): Helper {
  // `node:worker_threads` has this member.
  const { Worker } = nodeBuiltin("node:worker_threads") as WorkerThreads;
  const worker = new Worker(helperSource, {
    eval: true,
    workerData: start,
    name: "latentkit",
    // Not the parent's: its loaders cost a tenth of a second and are of no use to a text.
    execArgv: [],
  });
  worker.unref();
  worker.on("error", onError);
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    attach: (memory) => worker.postMessage(memory),
  };
}
