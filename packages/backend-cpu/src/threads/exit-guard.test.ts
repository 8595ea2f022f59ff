import { Worker } from "node:worker_threads";
import { expect, it, vi } from "vitest";
import { createControl, place } from "./control.ts";
import { guardExit } from "./exit-guard.ts";

it("the end of the process waits for helpers that load a library, of all teams and once for each", () => {
  const on = vi.spyOn(process, "on");
  const [first, second] = [createControl(), createControl()];
  guardExit(first.words, 1);
  guardExit(second.words, 2);
  const listeners = on.mock.calls.filter(([event]) => event === "exit");
  on.mockRestore();
  expect(listeners).toHaveLength(1);
  const listener: unknown = listeners[0]?.[1];
  if (typeof listener !== "function") throw new TypeError("nothing listens to the end");
  process.off("exit", listener as () => void); // the one that was added above

  // Two that take their time, and one that is done before the others.
  for (const [words, delay] of [
    [first.words, 40],
    [second.words, 1],
    [second.words, 120],
  ] as const)
    void new Worker(
      `const { words, at, delay } = require("node:worker_threads").workerData;
       setTimeout(() => { Atomics.add(words, at, 1); Atomics.notify(words, at); }, delay);`,
      { eval: true, execArgv: [], workerData: { words, at: place.loaded, delay } },
    );
  (listener as () => void)();
  expect(first.words[place.loaded]).toBe(1);
  expect(second.words[place.loaded]).toBe(2);
});
