import { ConfigError, formatShape, MismatchError, sameShape } from "@latentkit/core";
import { add, affine, concat, matmul, slice, sub, Tensor } from "@latentkit/tensor";
import type { EditContext, EditFunction } from "./hook-run.ts";

/** A vector over a site's features: on the device, or on the host, whence each run copies it. */
export type FeatureVector = Tensor | Float32Array | readonly number[];

/** Where an edit applies. */
export interface EditPositions {
  /** Context positions, counted from the start of the sequence; all if left out. Others keep their value bit for bit. */
  readonly positions?: readonly number[];
}

/**
 * Puts `replacement` in a value's place: a tensor of the value's shape, or one vector of the site's width for every token (for
 * example zeros, or a mean).
 */
export function replaceWith(replacement: FeatureVector, options: EditPositions = {}): EditFunction {
  return (value, context) => {
    if (replacement instanceof Tensor && sameShape(replacement.shape, value.shape)) {
      return atPositions(value, replacement, options, context);
    }
    const vector = featureVector(replacement, value, context);
    return atPositions(value, add(value.device.zeros(value.shape), vector), options, context);
  };
}

/** Adds `scale * vector` to every token's features (steering). */
export function addVector(
  vector: FeatureVector,
  options: EditPositions & { readonly scale?: number } = {},
): EditFunction {
  const { scale = 1 } = options;
  return (value, context) => {
    const added = featureVector(vector, value, context);
    const sum = add(value, scale === 1 ? added : affine(added, { factor: scale, bias: 0 }));
    return atPositions(value, sum, options, context);
  };
}

/** Multiplies the value by a number; 0 is zero ablation. */
export function scaleBy(factor: number, options: EditPositions = {}): EditFunction {
  return (value, context) =>
    atPositions(value, affine(value, { factor, bias: 0 }), options, context);
}

/**
 * Removes what lies in the span of `directions` from every token's features: `x - (x B^T) B` with B an orthonormal basis of it.
 *
 * @param directions vectors of the site's width; they need be neither normalised nor orthogonal
 * @throws ConfigError `EDIT_DIRECTIONS` at once if there are none, one is zero or not finite, or their lengths differ
 */
export function projectOut(
  directions: readonly (Float32Array | readonly number[])[],
  options: EditPositions = {},
): EditFunction {
  const basis = orthonormalBasis(directions);
  const width = directions[0]?.length ?? 0;
  const rank = basis.length / width;
  return (value, context) => {
    checkWidth(width, value, context);
    const { device, shape } = value;
    const rows = device.tensor(basis, [rank, width]);
    const flat = value.reshape([value.size / width, width]);
    const inside = matmul(matmul(flat, rows, { transposeB: true }), rows);
    return atPositions(value, sub(flat, inside).reshape(shape), options, context);
  };
}

/** The edited value at the wanted positions and the old one elsewhere, in runs of neighbours. */
function atPositions(
  value: Tensor,
  edited: Tensor,
  options: EditPositions,
  context: EditContext,
): Tensor {
  const { positions } = options;
  if (positions === undefined) return edited;
  checkPerToken(context);
  const length = value.shape[1] ?? 0;
  const wanted = new Set(positions);
  const sourceAt = (index: number) => (wanted.has(context.startPosition + index) ? edited : value);
  const pieces: Tensor[] = [];
  for (let start = 0, end = 1; start < length; start = end++) {
    const source = sourceAt(start);
    while (end < length && sourceAt(end) === source) end++;
    if (end - start === length) return source;
    pieces.push(slice(source, { axis: 1, start, end }));
  }
  return concat(pieces, { axis: 1 });
}

/** The vector as it broadcasts against the value: the value's feature axes alone. */
function featureVector(vector: FeatureVector, value: Tensor, context: EditContext): Tensor {
  const given = vector instanceof Tensor ? vector.size : vector.length;
  checkWidth(
    given,
    value,
    context,
    vector instanceof Tensor ? formatShape(vector.shape) : undefined,
  );
  const shape = value.shape.slice(2);
  if (vector instanceof Tensor) return vector.reshape(shape);
  return value.device.tensor(Float32Array.from(vector), shape);
}

function checkWidth(
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

/** Scores and patterns have heads where other sites have positions. */
function checkPerToken({ site }: EditContext): void {
  if (site.shape[1] === "pos") return;
  throw new ConfigError({
    code: "EDIT_SITE",
    message: `${site.name} has axes ${site.shape.join(", ")}, so its values have no features per token`,
    fix: "write an edit function for this site, or use replaceWith a tensor of the same shape, or scaleBy without positions",
    where: site.name,
  });
}

/** Modified Gram-Schmidt, twice, in f64; directions that depend on earlier ones to 1e-6 add nothing. */
function orthonormalBasis(directions: readonly ArrayLike<number>[]): Float32Array {
  const width = directions[0]?.length ?? 0;
  if (width === 0) throw badDirections("no directions were given");
  const basis: Float64Array[] = [];
  for (const [index, direction] of directions.entries()) {
    if (direction.length !== width) {
      throw badDirections(
        `direction ${index} has ${direction.length} numbers and the first has ${width}`,
      );
    }
    const rest = Float64Array.from(direction);
    const norm = Math.sqrt(dot(rest, rest));
    if (!Number.isFinite(norm) || norm === 0)
      throw badDirections(`direction ${index} has norm ${norm}`);
    for (let round = 0; round < 2; round++) {
      for (const unit of basis) {
        const along = dot(rest, unit);
        for (let i = 0; i < width; i++) rest[i] = (rest[i] ?? 0) - along * (unit[i] ?? 0);
      }
    }
    const left = Math.sqrt(dot(rest, rest));
    if (left > 1e-6 * norm) basis.push(rest.map((x) => x / left));
  }
  return Float32Array.from(basis.flatMap((unit) => [...unit]));
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, index) => sum + x * (b[index] ?? 0), 0);
}

function badDirections(message: string): ConfigError {
  return new ConfigError({
    code: "EDIT_DIRECTIONS",
    message: `projectOut: ${message}`,
    fix: "give at least one direction, all finite, not zero and of the site's width",
  });
}
