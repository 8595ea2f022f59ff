import type { ReduceKernels } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { blockColumns, partLength, reduceGrain, reduceOperators } from "../tasks/reduce.ts";

/** Rows of more elements are divided, unless there are many of them. */
const longRow = 2 * partLength;
const manyRows = 16;

export function reduceKernels({ heap, wasm, team }: Runtime): ReduceKernels {
  const overRows = (rows: number, axis: number): { count: number; grain: number } => ({
    count: rows,
    grain: Math.ceil(reduceGrain / axis),
  });

  /** Blocks of columns of [outer, axis, inner], with scratch bytes for each column. */
  const overColumns = (
    outer: number,
    axis: number,
    inner: number,
    bytes: number,
  ): { count: number; grain: number; scratchBytes: number } => ({
    count: outer * Math.ceil(inner / blockColumns),
    grain: Math.ceil(reduceGrain / (axis * Math.min(inner, blockColumns))),
    scratchBytes: bytes * Math.min(inner, blockColumns),
  });

  return {
    reduce(operator, x, outer, axis, inner, out) {
      const code = reduceOperators.indexOf(operator);
      const [from, to] = [address(x), address(out)];
      if (inner > 1) {
        const division = overColumns(outer, axis, inner, 8);
        team.run("reduceColumns", [code, from, axis, inner, to], division);
      } else if (axis > longRow && outer < manyRows) {
        const parts = Math.ceil(axis / partLength);
        heap.withScratch(outer * parts * 8, (partials) => {
          const division = { count: outer * parts, grain: 1 };
          team.run("reduceParts", [code, from, axis, parts, partials], division);
          wasm.combineParts(code, partials, outer, parts, axis, to);
        });
      } else team.run("reduceRows", [code, from, axis, to], overRows(outer, axis));
    },

    variance(x, outer, axis, inner, correction, out) {
      const divisor = Math.max(axis - correction, 0);
      const [from, to] = [address(x), address(out)];
      if (inner === 1) team.run("varianceRows", [from, axis, divisor, to], overRows(outer, axis));
      else {
        const division = overColumns(outer, axis, inner, 16);
        team.run("varianceColumns", [from, axis, inner, divisor, to], division);
      }
    },

    productGradient(x, dOut, outer, axis, inner, dx) {
      const args = [address(x), address(dOut), axis, inner, address(dx)];
      team.run("productGradient", args, overRows(outer * inner, axis));
    },

    argReduce(operator, x, outer, axis, inner, out) {
      const largest = Number(operator === "max");
      const [from, to] = [address(x), address(out)];
      if (inner === 1) team.run("argRows", [largest, from, axis, to], overRows(outer, axis));
      else {
        const division = overColumns(outer, axis, inner, 4);
        team.run("argColumns", [largest, from, axis, inner, to], division);
      }
    },

    reduceMask(operator, x, outer, axis, inner, out) {
      const args = [Number(operator === "all"), address(x), axis, inner, address(out)];
      team.run("reduceMask", args, overRows(outer, axis * inner));
    },
  };
}
