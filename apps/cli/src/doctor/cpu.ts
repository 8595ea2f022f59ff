import type { Calibration, CpuDescription, TriedLibrary } from "@latentkit/backend-cpu";
import type { Table } from "../output.ts";

/** The CPU's rows of the table: what kernels are there and what multiplies matrices. */
export function cpuRows({ build, simd, threads, matmul }: CpuDescription): string[][] {
  return [
    ["kernels", build],
    ["simd", simd],
    ["threads", String(threads)],
    ["matrix products", matmul],
  ];
}

/** The libraries that were looked for: usable, or why not. */
export function librariesTable(tried: readonly TriedLibrary[]): Table {
  return {
    columns: ["library", "usable", "what it is, or why not"],
    rows: tried.map(({ library, usable, refused, detail }) => [
      library,
      usable ? "yes" : refused ? "WRONG" : "no",
      detail,
    ]),
  };
}

/** Speed of each provider of matrix products. */
export function calibrationTable(calibrations: readonly Calibration[]): Table {
  return {
    columns: ["matrix products by", "threads", "GFLOP/s"],
    rows: calibrations.map(({ name, threads, gflops }) => [
      name,
      String(threads),
      gflops.toFixed(1),
    ]),
  };
}
