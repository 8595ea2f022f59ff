import { nodeProcess } from "../matmul/host.ts";
import { place } from "./control.ts";

/** Control words of teams, with how many helpers of each are to load a library. */
const loading = new Map<Int32Array, number>();
let listening = false;

/** Longest that the end of a process waits, in milliseconds; loading takes some ten. */
const longestWait = 2000;

/**
 * Makes the end of this process wait until `helpers` threads have loaded their library: Node ends threads wherever they are, and one that is
 * within the loading of a library takes the process along with an abort.
 *
 * @param words of the team's control, of whose helpers none loads before this call
 */
export function guardExit(words: Int32Array, helpers: number): void {
  for (const [earlier, count] of loading)
    if (Atomics.load(earlier, place.loaded) >= count) loading.delete(earlier);
  loading.set(words, helpers);
  if (listening) return;
  listening = true;
  nodeProcess()?.on("exit", () => {
    for (const [each, count] of loading) awaitLoaded(each, count);
  });
}

function awaitLoaded(words: Int32Array, count: number): void {
  const end = Date.now() + longestWait;
  for (;;) {
    const loaded = Atomics.load(words, place.loaded);
    const left = end - Date.now();
    if (loaded >= count || left <= 0) return;
    Atomics.wait(words, place.loaded, loaded, left);
  }
}
