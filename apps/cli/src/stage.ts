import type { OnProgress, ProgressEvent } from "@latentkit/core";
import { Listr, ListrLogger, ProcessOutput } from "listr2";
import type { Terminal } from "./terminal.ts";

/** How a stage is announced. */
export interface StageOptions<T> {
  readonly title: string;
  readonly quiet: boolean;
  /** A few words behind the title once it is done. */
  readonly summary?: (result: T) => string;
  /** Lines below the progress on a live terminal, drawn anew with it. */
  readonly lines?: () => readonly string[];
}

/** Does one part of a command's work and draws it on stderr: live on a terminal, plain lines elsewhere, nothing when quiet. */
export async function runStage<T>(
  terminal: Terminal,
  options: StageOptions<T>,
  run: (onProgress: OnProgress) => Promise<T>,
): Promise<T> {
  const { title, quiet, summary, lines } = options;
  const live = terminal.stderr.isTTY === true;
  const stderr = terminal.stderr as NodeJS.WriteStream; // listr2 asks for a whole TTY stream, and only writes
  const logger = new ListrLogger({ processOutput: new ProcessOutput(stderr, stderr) });
  const done: T[] = [];
  const task = async (_context: unknown, drawn: { title: string; output: string }) => {
    const draw = (text: string) => {
      const more = live ? (lines?.() ?? []) : [];
      drawn.output = [text, ...more].join("\n");
    };
    const result = await run(throttled(live ? 100 : 10_000, draw));
    if (summary !== undefined) drawn.title = `${title}: ${summary(result)}`;
    done.push(result);
  };
  await new Listr([{ title, task }], {
    renderer: live ? "default" : "simple",
    silentRendererCondition: quiet,
    // The terminal's own signal handler stops work at a safe place; listr2's would end the process.
    registerSignalListeners: false,
    rendererOptions: { logger },
  }).run();
  const [result] = done;
  return result as T; // the list has run its only task, or thrown
}

/** Turns progress events into lines, at most one in `interval` milliseconds, and always the last one. */
function throttled(interval: number, draw: (text: string) => void): OnProgress {
  let [stage, started, first, drawn] = ["", 0, 0, Number.NEGATIVE_INFINITY];
  return (event) => {
    const now = performance.now();
    if (event.stage !== stage)
      [stage, started, first, drawn] = [event.stage, now, event.done, Number.NEGATIVE_INFINITY];
    const complete = event.total !== undefined && event.done >= event.total;
    if (!complete && now - drawn < interval) return;
    drawn = now;
    draw(describeProgress(event, (now - started) / 1000, first));
  };
}

/** `harvest  42%  52,224 / 124,000 tokens  1,480 tokens/s  48 s left  l0 61.2`. */
export function describeProgress(event: ProgressEvent, seconds: number, first = 0): string {
  const { stage, done, total, unit, figures = {} } = event;
  const rate = seconds > 0 ? (done - first) / seconds : 0;
  const parts = [stage];
  if (total !== undefined && total > 0) parts.push(`${Math.floor((100 * done) / total)}%`);
  parts.push(
    `${done.toLocaleString("en")}${total === undefined ? "" : ` / ${total.toLocaleString("en")}`} ${unit}`,
  );
  if (seconds > 1 && rate > 0) {
    parts.push(`${rate.toLocaleString("en", { maximumSignificantDigits: 3 })} ${unit}/s`);
    if (total !== undefined && done < total)
      parts.push(`${describeSeconds((total - done) / rate)} left`);
  }
  for (const [name, value] of Object.entries(figures)) {
    // The rate is in the line already.
    if (name === "tokensPerSecond") continue;
    parts.push(`${name} ${value.toLocaleString("en", { maximumSignificantDigits: 3 })}`);
  }
  if (event.note !== undefined) parts.push(event.note);
  return parts.join("  ");
}

function describeSeconds(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
