// A helper thread. Built into helper.generated.ts as one text, which Node starts as a worker: no file has to be found, whoever
// bundles the package and however. It never returns to its event loop; between jobs it spins for a moment, then sleeps.
import { bindProducts } from "../matmul/bind-blas.ts";
import { nodeBuiltin } from "../matmul/host.ts";
import type { BlasLibrary } from "../matmul/provider.ts";
import type { WasmMemory } from "../wasm/engine.ts";
import { controlOver, place } from "./control.ts";
import { createEngine } from "./engine.ts";
import type { HelperStart } from "./launch.ts";
import { workOnJob } from "./work.ts";

/** Looks at the ticket before going to sleep: some 100 microseconds, longer than the gap between two kernels. */
const patience = 20_000;

interface WorkerThreads {
  readonly workerData: HelperStart;
  readonly parentPort: object;
  readonly receiveMessageOnPort: (port: object) => { readonly message: WasmMemory } | undefined;
}

// `node:worker_threads` has these members.
const { workerData, parentPort, receiveMessageOnPort } = nodeBuiltin(
  "node:worker_threads",
) as WorkerThreads;
const { control: shared, module, memory, thread, scratch, library } = workerData;
const control = controlOver(shared);
const { words } = control;
const engine = createEngine({ thread, module, memory, scratch, blas: loadLibrary() });

/** Says when it is done: until then the process had better not end, see exit-guard.ts. */
function loadLibrary(): BlasLibrary | null {
  try {
    return library === null ? null : bindProducts(library);
  } finally {
    Atomics.add(words, place.loaded, 1);
    Atomics.notify(words, place.loaded);
  }
}

for (;;) {
  while (engine.arenas.length < Atomics.load(words, place.arenas)) {
    const received = receiveMessageOnPort(parentPort);
    if (received === undefined) Atomics.wait(words, place.quit, 0, 1); // on its way
    else engine.attach(received.message);
  }
  const seen = workOnJob(control, engine);
  if (Atomics.load(words, place.quit) === 1) break;
  if (engine.arenas.length < Atomics.load(words, place.arenas)) continue;
  for (let looks = 0; looks < patience && Atomics.load(words, place.ticket) === seen; looks++);
  if (Atomics.load(words, place.ticket) === seen) {
    Atomics.add(words, place.sleeping, 1);
    Atomics.wait(words, place.ticket, seen);
    Atomics.sub(words, place.sleeping, 1);
  }
}
