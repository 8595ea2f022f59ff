import { formatShape, MismatchError } from "@latentkit/core";
import { take, Tensor } from "@latentkit/tensor";
import { checkPerToken, ofRow } from "./edit-positions.ts";
import type { EditContext } from "./hook-run.ts";

/** Numbers of one vector on the host. */
export type HostVector = Float32Array | readonly number[];

/** A vector over a site's features: on the device, or on the host, whence each run copies it. */
export type FeatureVector = Tensor | HostVector;

/** One vector for all rows of a run, or one for each: a tensor `[rows, width]`, or a list of vectors. */
export type FeatureVectors = FeatureVector | readonly HostVector[];

/** The vector as it broadcasts against the value: over the value's feature axes, and by row where there is one for each. */
export function featureVector(vector: FeatureVectors, value: Tensor, context: EditContext): Tensor {
  const { rows, site } = context;
  const features = value.shape.slice(2);
  const byRow = [rows.length, 1, ...features];
  if (vector instanceof Tensor) {
    const [count = 0] = vector.shape;
    if (vector.size === site.width || vector.size !== count * site.width) {
      checkWidth(vector.size, value, context, formatShape(vector.shape));
      return vector.reshape(features);
    }
    const places = Array.from({ length: count }, (_, place) => place);
    const picked = rows.map((row) => ofRow(places, row, site.name));
    return take(vector.reshape([count, site.width]), picked, { axis: 0 }).reshape(byRow);
  }
  if (!isByRow(vector)) {
    checkWidth(vector.length, value, context);
    return value.device.tensor(Float32Array.from(vector), features);
  }
  const chosen = rows.map((row) => ofRow(vector, row, site.name));
  for (const one of chosen) checkWidth(one.length, value, context);
  return value.device.tensor(Float32Array.from(chosen.flatMap((one) => [...one])), byRow);
}

/** One number for all rows, or one for each, as it broadcasts against the value. */
export function strengths(
  scale: number | readonly number[],
  value: Tensor,
  { rows, site }: EditContext,
): Tensor | number {
  if (typeof scale === "number") return scale;
  const chosen = Float32Array.from(rows, (row) => ofRow(scale, row, site.name));
  return value.device.tensor(chosen, [rows.length, ...value.shape.slice(1).map(() => 1)]);
}

/** @throws MismatchError `EDIT_WIDTH`; ConfigError `EDIT_SITE` */
export function checkWidth(
  given: number,
  value: Tensor,
  context: EditContext,
  shape = `[${given}]`,
): void {
  checkPerToken(context);
  if (given === context.site.width) return;
  throw new MismatchError({
    code: "EDIT_WIDTH",
    message: `the edit of ${context.site.name} was given a vector of shape ${shape}; the value there has shape ${formatShape(value.shape)}, ${context.site.width} features a token`,
    fix: `give a vector of ${context.site.width} numbers${context.startPosition > 0 ? ": while generating, a value holds only the new positions" : ""}`,
    where: context.site.name,
  });
}

function isByRow(vector: HostVector | readonly HostVector[]): vector is readonly HostVector[] {
  return !(vector instanceof Float32Array) && typeof vector[0] === "object";
}
