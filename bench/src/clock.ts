/**
 * Whether `BENCH_CPU=1` asks for CPU seconds on one thread, ours and the peers', in place of the time that goes by on all: on a machine
 * that is shared with other work, threads that wait for each other measure that work.
 */
export const cpuClock: boolean = process.env["BENCH_CPU"] === "1";

/** Threads for `openCpuDevice`, see {@link cpuClock}. */
export const benchThreads: number | undefined = cpuClock ? 1 : undefined;

/** Seconds from some start on, of the clock that was asked for. */
export function clock(): number {
  if (!cpuClock) return performance.now() / 1000;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** A rate's unit by that clock. */
export function rateUnit(of: string): string {
  return cpuClock ? `${of}/CPU s` : `${of}/s`;
}
