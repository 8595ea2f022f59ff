import { Random } from "@latentkit/core";

/** A world whose features are known: `x = sum_j a_j g_j`, unit directions, independent firing. */
export interface ToyWorld {
  readonly dIn: number;
  /** g, `[features, dIn]`, unit rows. */
  readonly directions: Float64Array;
  /** `[rows, dIn]`. */
  readonly data: Float32Array<ArrayBuffer>;
  /** Mean number of features that fire. */
  readonly trueL0: number;
}

/** Features fire with probability `density` and magnitude |N(1, 0.25)|, along random unit directions. */
export function toyWorld(options: {
  readonly features: number;
  readonly dIn: number;
  readonly density: number;
  readonly rows: number;
  readonly seed: number;
}): ToyWorld {
  const { features, dIn, density, rows, seed } = options;
  const random = new Random(seed, 0x707);
  const directions = Float64Array.from({ length: features * dIn }, () => random.normal());
  for (let feature = 0; feature < features; feature++) {
    const row = directions.subarray(feature * dIn, (feature + 1) * dIn);
    const norm = Math.hypot(...row);
    for (let column = 0; column < dIn; column++) row[column] = (row[column] ?? 0) / norm;
  }
  const data = new Float32Array(rows * dIn);
  let fired = 0;
  for (let row = 0; row < rows; row++) {
    for (let feature = 0; feature < features; feature++) {
      if (random.uniform() >= density) continue;
      fired += 1;
      const magnitude = Math.abs(1 + 0.25 * random.normal());
      for (let column = 0; column < dIn; column++)
        data[row * dIn + column] =
          (data[row * dIn + column] ?? 0) + magnitude * (directions[feature * dIn + column] ?? 0);
    }
  }
  return { dIn, directions, data, trueL0: fired / rows };
}
