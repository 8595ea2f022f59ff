import type { CrossEntropyPlan, NormaliseKernels } from "../backend.ts";
import { logSumExp, softmax } from "./rows.ts";
import { f32, type Floats, i32 } from "./storage.ts";

export const normaliseKernels: NormaliseKernels = {
  rmsNorm(x, weight, rows, columns, epsilon, out, scale) {
    const [source, target] = [f32(x), f32(out)];
    const weights = weight === null ? null : f32(weight);
    const scales = scale === null ? null : f32(scale);
    for (let row = 0; row < rows; row++) {
      const values = rowOf(source, row, columns);
      const length = Math.sqrt(total(values.map((value) => value * value)) / columns + epsilon);
      if (scales !== null) scales[row] = length;
      target.set(
        values.map((value, column) => (value / length) * (weights?.[column] ?? 1)),
        row * columns,
      );
    }
  },

  layerNorm(x, weight, bias, rows, columns, epsilon, out, mean, scale) {
    const [source, target] = [f32(x), f32(out)];
    const weights = weight === null ? null : f32(weight);
    const biases = bias === null ? null : f32(bias);
    const means = mean === null ? null : f32(mean);
    const scales = scale === null ? null : f32(scale);
    for (let row = 0; row < rows; row++) {
      const values = rowOf(source, row, columns);
      const centre = total(values) / columns;
      const variance = total(values.map((value) => (value - centre) ** 2)) / columns;
      const length = Math.sqrt(variance + epsilon);
      if (means !== null) means[row] = centre;
      if (scales !== null) scales[row] = length;
      const normalized = values.map((value) => (value - centre) / length);
      target.set(
        normalized.map(
          (value, column) => value * (weights?.[column] ?? 1) + (biases?.[column] ?? 0),
        ),
        row * columns,
      );
    }
  },

  normGradient(plan, dX, dWeight, dBias) {
    const { rows, columns } = plan;
    const [source, gradients, scales] = [f32(plan.x), f32(plan.gradient), f32(plan.scale)];
    const means = plan.mean === null ? null : f32(plan.mean);
    const weights = plan.weight === null ? null : f32(plan.weight);
    const scaleGradients = plan.scaleGradient === null ? null : f32(plan.scaleGradient);
    const weightSums = new Float64Array(columns);
    const biasSums = new Float64Array(columns);
    for (let row = 0; row < rows; row++) {
      const scale = scales[row] ?? Number.NaN;
      const centre = means?.[row] ?? 0;
      const gradient = rowOf(gradients, row, columns);
      const normalized = rowOf(source, row, columns).map((value) => (value - centre) / scale);
      const inner = gradient.map((value, column) => value * (weights?.[column] ?? 1));
      const products = inner.map((value, column) => value * (normalized[column] ?? Number.NaN));
      const meanInner = means === null ? 0 : total(inner) / columns;
      const meanProduct = total(products) / columns;
      const ofScale = (scaleGradients?.[row] ?? 0) / columns;
      if (dX !== null) {
        f32(dX).set(
          inner.map((value, column) => {
            const n = normalized[column] ?? Number.NaN;
            return (value - meanInner - n * meanProduct) / scale + ofScale * n;
          }),
          row * columns,
        );
      }
      for (const [column, value] of gradient.entries()) {
        const n = normalized[column] ?? Number.NaN;
        weightSums[column] = (weightSums[column] ?? 0) + value * n;
        biasSums[column] = (biasSums[column] ?? 0) + value;
      }
    }
    if (dWeight !== null) f32(dWeight).set(weightSums);
    if (dBias !== null) f32(dBias).set(biasSums);
  },

  softmaxRows(x, rows, columns, out) {
    const [source, target] = [f32(x), f32(out)];
    for (let row = 0; row < rows; row++)
      target.set(softmax(rowOf(source, row, columns)), row * columns);
  },

  softmaxGradientRows(y, gradient, rows, columns, dX) {
    const [probabilities, gradients, target] = [f32(y), f32(gradient), f32(dX)];
    for (let row = 0; row < rows; row++) {
      const p = rowOf(probabilities, row, columns);
      const g = rowOf(gradients, row, columns);
      const mean = total(g.map((value, column) => value * (p[column] ?? Number.NaN)));
      target.set(
        g.map((value, column) => (p[column] ?? Number.NaN) * (value - mean)),
        row * columns,
      );
    }
  },

  logSoftmaxRows(x, rows, columns, out) {
    const [source, target] = [f32(x), f32(out)];
    for (let row = 0; row < rows; row++) {
      const values = rowOf(source, row, columns);
      const offset = logSumExp(values);
      target.set(
        values.map((value) => value - offset),
        row * columns,
      );
    }
  },

  logSoftmaxGradientRows(y, gradient, rows, columns, dX) {
    const [logarithms, gradients, target] = [f32(y), f32(gradient), f32(dX)];
    for (let row = 0; row < rows; row++) {
      const logs = rowOf(logarithms, row, columns);
      const g = rowOf(gradients, row, columns);
      const sum = total(g);
      target.set(
        g.map((value, column) => value - Math.exp(logs[column] ?? Number.NaN) * sum),
        row * columns,
      );
    }
  },

  crossEntropyRows(logits, targets, plan, out, statistics) {
    const { rows, columns, labelSmoothing, zLoss } = plan;
    const [source, picks, target] = [f32(logits), i32(targets), f32(out)];
    const kept = statistics === null ? null : f32(statistics);
    for (let row = 0; row < rows; row++) {
      const pick = picks[row] ?? -1;
      if (ignored(pick, plan)) {
        target[row] = 0;
        continue;
      }
      const values = rowOf(source, row, columns);
      const offset = logSumExp(values);
      const picked = pick < columns ? (values[pick] ?? Number.NaN) : Number.NaN;
      const smooth = labelSmoothing === 0 ? 0 : (labelSmoothing * total(values)) / columns;
      target[row] =
        offset -
        (1 - labelSmoothing) * picked -
        smooth +
        (zLoss === 0 ? 0 : zLoss * offset * offset);
      if (kept === null) continue;
      const peak = values.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY);
      kept[2 * row] = peak;
      kept[2 * row + 1] = total(values.map((value) => Math.exp(value - peak)));
    }
  },

  crossEntropyGradientRows(logits, targets, statistics, gradient, plan, dLogits) {
    const { rows, columns, labelSmoothing, zLoss } = plan;
    const [source, picks, target] = [f32(logits), i32(targets), f32(dLogits)];
    const [kept, gradients] = [f32(statistics), f32(gradient)];
    for (let row = 0; row < rows; row++) {
      const pick = picks[row] ?? -1;
      const place = row * columns;
      if (ignored(pick, plan) || pick >= columns) {
        target.fill(ignored(pick, plan) ? 0 : Number.NaN, place, place + columns);
        continue;
      }
      const [peak, sum] = [kept[2 * row] ?? Number.NaN, kept[2 * row + 1] ?? Number.NaN];
      const factor = (1 + 2 * zLoss * (peak + Math.log(sum))) / sum;
      target.set(
        rowOf(source, row, columns).map((value, column) => {
          const wanted = (column === pick ? 1 - labelSmoothing : 0) + labelSmoothing / columns;
          return (gradients[row] ?? Number.NaN) * (factor * Math.exp(value - peak) - wanted);
        }),
        place,
      );
    }
  },

  countTargets(targets, rows, ignoreIndex, out) {
    const picks = i32(targets).subarray(0, rows);
    f32(out)[0] = picks.filter((pick) => !ignored(pick, { ignoreIndex })).length;
  },
};

function ignored(target: number, { ignoreIndex }: Pick<CrossEntropyPlan, "ignoreIndex">): boolean {
  return target < 0 || target === ignoreIndex;
}

/** A copy of one row. */
function rowOf(values: Floats, row: number, columns: number): Float64Array<ArrayBuffer> {
  return Float64Array.from(values.subarray(row * columns, (row + 1) * columns));
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
