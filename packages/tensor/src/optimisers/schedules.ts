import { requireValue } from "../checks.ts";

/** Factor of the learning rate at an update; the first update is number 0. Plain functions, to be combined and written freely. */
export type Schedule = (update: number) => number;

/** The same factor always. */
export function constantSchedule(factor = 1): Schedule {
  return () => factor;
}

/** How {@link linearSchedule} goes. */
export interface LinearOptions {
  /** Factor at update 0; 1 by default. */
  readonly from?: number | undefined;
  /** Factor from update `updates` on; 0 by default. */
  readonly to?: number | undefined;
  readonly updates: number;
}

/** A straight line, then flat. */
export function linearSchedule({ from = 1, to = 0, updates }: LinearOptions): Schedule {
  requireUpdates("linearSchedule", updates);
  return (update) => (update >= updates ? to : from + ((to - from) * update) / updates);
}

/** How {@link cosineSchedule} goes. */
export interface CosineOptions {
  readonly updates: number;
  /** Factor from update `updates` on; 0 by default. */
  readonly floor?: number | undefined;
}

/** From 1 to the floor along half a cosine (Loshchilov and Hutter, "SGDR", 2016), then flat. */
export function cosineSchedule({ updates, floor = 0 }: CosineOptions): Schedule {
  requireUpdates("cosineSchedule", updates);
  return (update) =>
    update >= updates
      ? floor
      : floor + ((1 - floor) * (1 + Math.cos((Math.PI * update) / updates))) / 2;
}

/**
 * `1/updates, 2/updates, ...` to 1 over the first `updates`, then another schedule from its own beginning. The first update already
 * has a learning rate above 0.
 */
export function warmUp(updates: number, then: Schedule = constantSchedule()): Schedule {
  requireUpdates("warmUp", updates);
  return (update) => (update < updates ? (update + 1) / updates : then(update - updates));
}

/** Schedules one after the other, each from its own beginning; the last one goes on forever. */
export function scheduleSequence(
  parts: readonly { readonly schedule: Schedule; readonly updates: number }[],
  last: Schedule,
): Schedule {
  for (const { updates } of parts) requireUpdates("scheduleSequence", updates);
  return (update) => {
    let start = 0;
    for (const { schedule, updates } of parts) {
      if (update < start + updates) return schedule(update - start);
      start += updates;
    }
    return last(update - start);
  };
}

function requireUpdates(operator: string, updates: number): void {
  requireValue(
    Number.isInteger(updates) && updates >= 1,
    operator,
    "updates",
    updates,
    "an integer of at least 1",
  );
}
