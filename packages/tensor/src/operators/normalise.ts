import { formatShape } from "@latentkit/core";
import { differentiable, differentiableOutputs } from "../autograd/differentiable.ts";
import { asNonEmptyRows, floats, requireValue, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/**
 * RMSNorm over the last axis (Zhang and Sennrich, 2019, arXiv 1910.07467): `x / sqrt(mean(x^2) + epsilon) * weight`.
 *
 * Keeps x and one number a row for its gradients, to x and to the weight.
 *
 * @param x f32 [..., columns]
 * @param weight f32 [columns], or null for 1
 * @returns f32 of x's shape
 * @throws ShapeError `SHAPE_MISMATCH` for a weight of another length or a row without elements; ConfigError `VALUE_RANGE` for a
 * negative epsilon
 */
export function rmsNorm(x: Tensor, weight: Tensor | null, epsilon: number): Tensor {
  const input = floats("rmsNorm", x);
  const { rows, columns } = asNonEmptyRows("rmsNorm", x);
  requireEpsilon("rmsNorm", epsilon);
  const weightSlice = weight === null ? null : ofColumns("rmsNorm", x, weight, "weight").slice;
  return x.device.scope(() => {
    const out = x.device.empty(x.shape);
    const inputs = weight === null ? [x] : [x, weight];
    const scale = tracked(inputs) ? x.device.empty([rows]) : null;
    if (rows > 0)
      x.device.backend.kernels.rmsNorm(
        input,
        weightSlice,
        rows,
        columns,
        epsilon,
        out.slice,
        scale?.slice ?? null,
      );
    return differentiable(out, {
      operator: "rmsNorm",
      inputs,
      saved: scale === null ? [] : weight === null ? [x, scale] : [x, scale, weight],
      rule: (gradient, { saved: [kept, keptScale, keptWeight], needs }) =>
        kept === undefined || keptScale === undefined
          ? []
          : normGradients(
              { x: kept, mean: null, scale: keptScale, weight: keptWeight ?? null, gradient },
              needs,
            ),
    });
  });
}

/**
 * The two halves of RMSNorm that hooks show: `scale = sqrt(mean(x^2) + epsilon)` of shape [..., 1] and `normalized = x / scale`
 * of x's shape, before any weight. Both have gradients. Errors as {@link rmsNorm}.
 */
export function rmsNormWithScale(
  x: Tensor,
  epsilon: number,
): { normalized: Tensor; scale: Tensor } {
  const input = floats("rmsNormWithScale", x);
  const { rows, columns } = asNonEmptyRows("rmsNormWithScale", x);
  requireEpsilon("rmsNormWithScale", epsilon);
  return x.device.scope(() => {
    const normalized = x.device.empty(x.shape);
    const scale = x.device.empty([...x.shape.slice(0, -1), 1]);
    if (rows > 0)
      x.device.backend.kernels.rmsNorm(
        input,
        null,
        rows,
        columns,
        epsilon,
        normalized.slice,
        scale.slice,
      );
    differentiableOutputs({
      operator: "rmsNormWithScale",
      inputs: [x],
      outputs: [normalized, scale],
      saved: [x, scale],
      rule: ([gradient = null, scaleGradient = null], { saved: [kept, keptScale], needs }) =>
        kept === undefined || keptScale === undefined
          ? []
          : normGradients(
              { x: kept, mean: null, scale: keptScale, weight: null, gradient, scaleGradient },
              needs,
            ),
    });
    return { normalized, scale };
  });
}

/**
 * LayerNorm over the last axis (Ba, Kiros and Hinton, 2016, arXiv 1607.06450):
 * `(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias`, the variance divided by the number of columns.
 *
 * Keeps x and two numbers a row for its gradients, to x, the weight and the bias.
 *
 * @param x f32 [..., columns]
 * @param weight f32 [columns], or null for 1
 * @param bias f32 [columns], or null for 0
 * @returns f32 of x's shape
 * @throws ShapeError `SHAPE_MISMATCH` for a weight or bias of another length or a row without elements; ConfigError
 * `VALUE_RANGE` for a negative epsilon
 */
export function layerNorm(
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  epsilon: number,
): Tensor {
  const input = floats("layerNorm", x);
  const { rows, columns } = asNonEmptyRows("layerNorm", x);
  requireEpsilon("layerNorm", epsilon);
  const weightSlice = weight === null ? null : ofColumns("layerNorm", x, weight, "weight").slice;
  const biasSlice = bias === null ? null : ofColumns("layerNorm", x, bias, "bias").slice;
  return x.device.scope(() => {
    const out = x.device.empty(x.shape);
    const inputs = [x, weight, bias].filter((tensor) => tensor !== null);
    const keeps = tracked(inputs);
    const mean = keeps ? x.device.empty([rows]) : null;
    const scale = keeps ? x.device.empty([rows]) : null;
    if (rows > 0)
      x.device.backend.kernels.layerNorm(
        input,
        weightSlice,
        biasSlice,
        rows,
        columns,
        epsilon,
        out.slice,
        mean?.slice ?? null,
        scale?.slice ?? null,
      );
    return differentiable(out, {
      operator: "layerNorm",
      inputs,
      saved: [x, mean, scale, weight].filter((tensor) => tensor !== null),
      rule: (gradient, { saved: [kept, keptMean, keptScale, keptWeight], needs }) => {
        if (kept === undefined || keptMean === undefined || keptScale === undefined) return [];
        const needsBias = bias !== null && needs[inputs.length - 1] === true;
        const [dX = null, dWeight = null, dBias = null] = normGradients(
          { x: kept, mean: keptMean, scale: keptScale, weight: keptWeight ?? null, gradient },
          [needs[0] === true, weight !== null && needs[1] === true, needsBias],
        );
        return [dX, ...(weight === null ? [] : [dWeight]), ...(bias === null ? [] : [dBias])];
      },
    });
  });
}

/**
 * The two halves of LayerNorm that hooks show: `scale = sqrt(variance(x) + epsilon)` of shape [..., 1] (TransformerLens's
 * `hook_scale`) and `normalized = (x - mean(x)) / scale` of x's shape, before any weight. Both have gradients. Errors as
 * {@link layerNorm}.
 */
export function layerNormWithScale(
  x: Tensor,
  epsilon: number,
): { normalized: Tensor; scale: Tensor } {
  const input = floats("layerNormWithScale", x);
  const { rows, columns } = asNonEmptyRows("layerNormWithScale", x);
  requireEpsilon("layerNormWithScale", epsilon);
  return x.device.scope(() => {
    const normalized = x.device.empty(x.shape);
    const scale = x.device.empty([...x.shape.slice(0, -1), 1]);
    const mean = x.device.empty([rows]);
    if (rows > 0)
      x.device.backend.kernels.layerNorm(
        input,
        null,
        null,
        rows,
        columns,
        epsilon,
        normalized.slice,
        mean.slice,
        scale.slice,
      );
    differentiableOutputs({
      operator: "layerNormWithScale",
      inputs: [x],
      outputs: [normalized, scale],
      saved: [x, mean, scale],
      rule: (
        [gradient = null, scaleGradient = null],
        { saved: [kept, keptMean, keptScale], needs },
      ) =>
        kept === undefined || keptMean === undefined || keptScale === undefined
          ? []
          : normGradients(
              { x: kept, mean: keptMean, scale: keptScale, weight: null, gradient, scaleGradient },
              needs,
            ),
    });
    return { normalized, scale };
  });
}

interface NormBackward {
  readonly x: Tensor;
  readonly mean: Tensor | null;
  readonly scale: Tensor;
  readonly weight: Tensor | null;
  readonly gradient: Tensor | null;
  readonly scaleGradient?: Tensor | null;
}

/** Gradients to x, weight and bias, null where `needs` does not ask. */
function normGradients(
  { x, mean, scale, weight, gradient, scaleGradient = null }: NormBackward,
  [needsX = false, needsWeight = false, needsBias = false]: readonly boolean[],
): (Tensor | null)[] {
  const { device } = x;
  const { rows, columns } = asNonEmptyRows("normGradient", x);
  // A loss of the scale alone: the normalised rows have no gradient.
  const given = gradient ?? device.zeros(x.shape);
  const dX = needsX ? device.empty(x.shape) : null;
  const dWeight = needsWeight ? device.empty([columns]) : null;
  const dBias = needsBias ? device.empty([columns]) : null;
  device.backend.kernels.normGradient(
    {
      rows,
      columns,
      x: x.slice,
      mean: mean?.slice ?? null,
      scale: scale.slice,
      weight: weight?.slice ?? null,
      gradient: given.slice,
      scaleGradient: scaleGradient?.slice ?? null,
    },
    dX?.slice ?? null,
    dWeight?.slice ?? null,
    dBias?.slice ?? null,
  );
  return [dX, dWeight, dBias];
}

/** Whether the open tape will want gradients through any of these. */
function tracked(inputs: readonly Tensor[]): boolean {
  const tape = inputs[0]?.device.tape ?? null;
  return tape !== null && inputs.some((input) => tape.tracks(input));
}

function ofColumns(operator: string, x: Tensor, vector: Tensor, name: string): Tensor {
  floats(operator, vector, name);
  sameDevice(operator, x, vector);
  if (vector.shape.length === 1 && vector.size === x.shape[x.shape.length - 1]) return vector;
  throw shapeError(
    operator,
    `x of shape ${formatShape(x.shape)} and ${name} of shape ${formatShape(vector.shape)}`,
    `give a ${name} as long as x's last axis`,
  );
}

function requireEpsilon(operator: string, epsilon: number): void {
  requireValue(
    epsilon >= 0 && Number.isFinite(epsilon),
    operator,
    "epsilon",
    epsilon,
    "a number of at least 0",
  );
}
