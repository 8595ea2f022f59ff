import type { SparseRows } from "@latentkit/tensor";

/** A latent of a token, and its activation. */
export interface ActiveLatent {
  readonly latent: number;
  readonly activation: number;
}

/**
 * The active latents of each row, the strongest first; of equal ones the lower index.
 *
 * @throws ConfigError `SPARSE_OVERFLOW` where a row had more than it had room for
 */
export async function activeLatents(rows: SparseRows): Promise<ActiveLatent[][]> {
  await rows.requireComplete();
  const counts = await rows.counts.integers();
  const indices = await rows.indices.integers();
  const values = await rows.values.floats();
  return Array.from(counts, (count, row) =>
    Array.from({ length: count }, (_, place) => {
      const at = row * rows.capacity + place;
      return { latent: indices[at] ?? 0, activation: values[at] ?? 0 };
    }).sort((a, b) => b.activation - a.activation || a.latent - b.latent),
  );
}
