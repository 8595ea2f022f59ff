import { Random } from "@latentkit/core";

/** A world whose features are known: `x = sum_j a_j g_j`, unit directions, independent firing. */
export interface ToyWorld {
  readonly dIn: number;
  /** g, `[features, dIn]`, unit rows. */
  readonly directions: Float64Array;
  /** `[rows, dIn]`. */
  readonly data: Float32Array<ArrayBuffer>;
  /** Which features fire, `[rows, features]` of 0 and 1. */
  readonly fired: Uint8Array;
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
  const mask = new Uint8Array(rows * features);
  let fired = 0;
  for (let row = 0; row < rows; row++) {
    for (let feature = 0; feature < features; feature++) {
      if (random.uniform() >= density) continue;
      fired += 1;
      mask[row * features + feature] = 1;
      const magnitude = Math.abs(1 + 0.25 * random.normal());
      for (let column = 0; column < dIn; column++)
        data[row * dIn + column] =
          (data[row * dIn + column] ?? 0) + magnitude * (directions[feature * dIn + column] ?? 0);
    }
  }
  return { dIn, directions, data, fired: mask, trueL0: fired / rows };
}

/** A latent and the feature that it was matched with. */
interface Match {
  readonly latent: number;
  readonly feature: number;
  /** |cosine| of the two directions. */
  readonly cosine: number;
}

/**
 * Mean matched |cosine| of decoder rows with true directions, each used once, best pairs first: in [0, 1], 1 for perfect recovery.
 */
export function meanMatchedCosine(
  decoder: Float32Array,
  directions: Float64Array,
  dIn: number,
): number {
  const matches = matched(decoder, directions, dIn);
  return matches.reduce((sum, { cosine }) => sum + cosine, 0) / matches.length;
}

/**
 * Mean F1 of matched latents' firing against their features', over rows that both were computed of.
 *
 * @param latents activations, `[rows, latents]`
 * @param world the directions, and which features fired in those rows
 */
export function meanFiringF1(
  decoder: Float32Array,
  latents: Float32Array,
  world: Pick<ToyWorld, "dIn" | "directions" | "fired">,
): number {
  const { dIn, directions, fired } = world;
  const [width, features] = [decoder.length / dIn, directions.length / dIn];
  const rows = latents.length / width;
  const scores = matched(decoder, directions, dIn).map(({ latent, feature }) => {
    let [both, either] = [0, 0];
    for (let row = 0; row < rows; row++) {
      const found = (latents[row * width + latent] ?? 0) > 0 ? 1 : 0;
      const truth = fired[row * features + feature] ?? 0;
      both += found * truth;
      either += found + truth;
    }
    return either === 0 ? 0 : (2 * both) / either;
  });
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

/** Greedy one-to-one matching by |cosine|. */
function matched(decoder: Float32Array, directions: Float64Array, dIn: number): Match[] {
  const [latents, features] = [decoder.length / dIn, directions.length / dIn];
  const pairs: Match[] = [];
  for (let latent = 0; latent < latents; latent++) {
    for (let feature = 0; feature < features; feature++) {
      let product = 0;
      for (let column = 0; column < dIn; column++)
        product +=
          (decoder[latent * dIn + column] ?? 0) * (directions[feature * dIn + column] ?? 0);
      pairs.push({ latent, feature, cosine: Math.abs(product) });
    }
  }
  pairs.sort((a, b) => b.cosine - a.cosine);
  const [usedLatents, usedFeatures] = [new Set<number>(), new Set<number>()];
  return pairs.filter(({ latent, feature }) => {
    if (usedLatents.has(latent) || usedFeatures.has(feature)) return false;
    usedLatents.add(latent);
    usedFeatures.add(feature);
    return true;
  });
}
