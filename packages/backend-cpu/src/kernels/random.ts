import type { RandomKernels } from "@latentkit/tensor";
import type { RandomState } from "@latentkit/core";
import { address, type Runtime } from "../runtime.ts";
import { randomGrain } from "../tasks/random.ts";
import { selectGrain } from "../tasks/sort.ts";

export function randomKernels({ heap, wasm, team }: Runtime): RandomKernels {
  type Draw = "randomBits" | "randomUniform" | "randomNormal" | "dropout" | "bernoulli";
  const draw = (task: Draw, state: RandomState, args: readonly number[], count: number): void =>
    team.run(task, [state.seed, state.stream, state.position, ...args], {
      count,
      grain: randomGrain,
      scratchBytes: wasm.randomScratchBytes(),
    });

  return {
    randomBits(state, out) {
      draw("randomBits", state, [address(out)], out.length);
    },

    randomUniform(state, low, high, out) {
      const span = Math.fround(high) - Math.fround(low);
      draw("randomUniform", state, [low, span, address(out)], out.length);
    },

    randomNormal(state, mean, deviation, out) {
      draw("randomNormal", state, [mean, deviation, address(out)], out.length);
    },

    randomPermutation(state, out) {
      const count = out.length;
      heap.withScratch(count * 16 + wasm.sortScratchBytes(count), (scratch) => {
        const keys = scratch + count * 8;
        draw("randomBits", state, [scratch], count * 2);
        wasm.permutationOf(scratch, count, keys, address(out));
      });
    },

    categoricalRows(state, logits, rows, columns, out) {
      heap.withScratch(rows * 8, (words) => {
        draw("randomBits", state, [words], rows * 2);
        team.run("categoricalRows", [address(logits), words, columns, address(out)], {
          count: rows,
          grain: selectGrain / columns,
          scratchBytes: columns * 4,
        });
      });
    },

    dropout(state, x, rate, out) {
      // u >= rate for u in steps of 2^-24.
      const limit = Math.ceil(rate * 2 ** 24);
      const factor = rate === 1 ? 0 : 1 / (1 - rate);
      draw("dropout", state, [address(x), limit, factor, address(out)], out.length);
    },

    bernoulli(state, probabilities, out) {
      draw("bernoulli", state, [address(probabilities), address(out)], out.length);
    },
  };
}
