import { ConfigError } from "@latentkit/core";

/**
 * An orthonormal basis of the span of some directions, `[rank, width]`: modified Gram-Schmidt, twice, in f64; directions that depend on
 * earlier ones to 1e-6 add nothing.
 *
 * @param user who asks, for the error's message
 * @throws ConfigError `EDIT_DIRECTIONS` if there are none, one is zero or not finite, or their lengths differ
 */
export function orthonormalBasis(
  user: string,
  directions: readonly ArrayLike<number>[],
): Float32Array {
  const badDirections = (message: string) =>
    new ConfigError({
      code: "EDIT_DIRECTIONS",
      message: `${user}: ${message}`,
      fix: "give at least one direction, all finite, not zero and of the site's width",
    });
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
