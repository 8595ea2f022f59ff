import { slice, type Tensor } from "@latentkit/tensor";

/** A site's values at the last position of each row. */
export interface SiteRows {
  readonly site: string;
  readonly rows: readonly Float32Array[];
}

/** Sites of `[batch, head, query_pos, key_pos]`. */
const square = /\.hook_(?:attn_scores|pattern)$/u;

/**
 * The last position's part of each captured tensor, by row, on the host.
 *
 * @param starts how many of the first keys of each row are padding
 */
export async function capturedRows(
  captured: ReadonlyMap<string, Tensor>,
  starts: readonly number[],
): Promise<SiteRows[]> {
  const read = async ([site, tensor]: readonly [string, Tensor]): Promise<SiteRows> => {
    const axis = square.test(site) ? 2 : 1;
    const values = await lastAlong(tensor, axis);
    const size = values.length / starts.length;
    const rows = starts.map((start, row) => {
      const own = values.slice(row * size, (row + 1) * size);
      return axis === 1 || start === 0 ? own : withoutPadding(own, tensor.shape[3] ?? 0, start);
    });
    return { site, rows };
  };
  return Promise.all([...captured].map(read));
}

async function lastAlong(tensor: Tensor, axis: number): Promise<Float32Array> {
  const end = tensor.shape[axis] ?? 0;
  if (end === 1) return tensor.floats();
  using last = slice(tensor, { axis, start: end - 1, end });
  return await last.floats();
}

/** Of `[head, key]` the keys from `start` on. */
function withoutPadding(values: Float32Array, keys: number, start: number): Float32Array {
  return values.filter((_, index) => index % keys >= start);
}
