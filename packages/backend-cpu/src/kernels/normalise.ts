import type { CrossEntropyPlan, NormaliseKernels } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";
import { exponentialGrain, normGrain, rowsOfPart } from "../tasks/normalise.ts";
import type { TaskName } from "../tasks/index.ts";

/** Columns of a chunk when partial sums are added. */
const columnGrain = 1024;

export function normaliseKernels({ heap, team, wasm }: Runtime): NormaliseKernels {
  /** A task over rows whose arguments begin with `x` and `columns`. */
  function overRows(
    task: TaskName,
    args: readonly number[],
    rows: number,
    columns: number,
    grain: number,
  ): void {
    team.run(task, args, { count: rows, grain: grain / Math.max(1, columns) });
  }

  function addParts(parts: number, count: number, columns: number, out: number): void {
    if (out === 0) return;
    team.run("sumNormParts", [parts, count, columns, out], { count: columns, grain: columnGrain });
  }

  return {
    rmsNorm(x, weight, rows, columns, epsilon, out, scale) {
      const args = [
        address(x),
        addressOrNull(weight),
        columns,
        epsilon,
        address(out),
        addressOrNull(scale),
      ];
      overRows("rmsNorm", args, rows, columns, normGrain);
    },

    layerNorm(x, weight, bias, rows, columns, epsilon, out, mean, scale) {
      const args = [
        address(x),
        addressOrNull(weight),
        addressOrNull(bias),
        columns,
        epsilon,
        address(out),
        addressOrNull(mean),
        addressOrNull(scale),
      ];
      overRows("layerNorm", args, rows, columns, normGrain);
    },

    normGradient(plan, dX, dWeight, dBias) {
      const { rows, columns } = plan;
      const parts = Math.ceil(rows / rowsOfPart);
      const partBytes = parts * columns * 4;
      const wanted = Number(dWeight !== null) + Number(dBias !== null);
      heap.withScratch(wanted * partBytes + 16, (scratch) => {
        const weightParts = dWeight === null ? 0 : scratch;
        const biasParts = dBias === null ? 0 : scratch + (dWeight === null ? 0 : partBytes);
        const args = [
          address(plan.x),
          addressOrNull(plan.mean),
          address(plan.scale),
          addressOrNull(plan.weight),
          address(plan.gradient),
          addressOrNull(plan.scaleGradient),
          rows,
          columns,
          addressOrNull(dX),
          weightParts,
          biasParts,
        ];
        overRows("normGradient", args, parts, columns * rowsOfPart, normGrain);
        addParts(weightParts, parts, columns, addressOrNull(dWeight));
        addParts(biasParts, parts, columns, addressOrNull(dBias));
      });
    },

    softmaxRows(x, rows, columns, out) {
      const args = [address(x), columns, address(out)];
      overRows("softmaxRows", args, rows, columns, exponentialGrain);
    },

    softmaxGradientRows(y, gradient, rows, columns, dX) {
      const args = [address(y), address(gradient), columns, address(dX)];
      overRows("softmaxGradientRows", args, rows, columns, normGrain);
    },

    logSoftmaxRows(x, rows, columns, out) {
      const args = [address(x), columns, address(out)];
      overRows("logSoftmaxRows", args, rows, columns, exponentialGrain);
    },

    logSoftmaxGradientRows(y, gradient, rows, columns, dX) {
      const args = [address(y), address(gradient), columns, address(dX)];
      overRows("logSoftmaxGradientRows", args, rows, columns, exponentialGrain);
    },

    crossEntropyRows(logits, targets, plan, out, statistics) {
      const args = [
        address(logits),
        address(targets),
        ...planNumbers(plan),
        address(out),
        addressOrNull(statistics),
      ];
      overRows("crossEntropyRows", args, plan.rows, plan.columns, exponentialGrain);
    },

    crossEntropyGradientRows(logits, targets, statistics, gradient, plan, dLogits) {
      const args = [
        address(logits),
        address(targets),
        ...planNumbers(plan),
        address(statistics),
        address(gradient),
        address(dLogits),
      ];
      overRows("crossEntropyGradientRows", args, plan.rows, plan.columns, exponentialGrain);
    },

    countTargets(targets, rows, ignoreIndex, out) {
      const count = wasm.countTargets(address(targets), rows, ignoreIndex);
      wasm.fillF32(address(out), count, 1);
    },
  };
}

function planNumbers({
  columns,
  ignoreIndex,
  labelSmoothing,
  zLoss,
}: CrossEntropyPlan): readonly number[] {
  return [columns, ignoreIndex, labelSmoothing, zLoss];
}
