import { ConfigError, formatShape } from "@latentkit/core";
import { take, type Tensor } from "@latentkit/tensor";
import type { BatchRow } from "./batch.ts";
import {
  atPositions,
  checkPerToken,
  type EditPositions,
  ofRow,
  predicateOf,
  tokensOf,
} from "./edit-positions.ts";
import { checkWidth } from "./feature-vector.ts";
import type { EditContext, EditFunction } from "./hook-run.ts";

/** Where {@link patchFrom} puts values, and where it takes them from. */
export interface PatchOptions extends EditPositions {
  /**
   * Positions in the source, as many as `positions` has: the value at `from[i]` goes to `positions[i]`. Left out, each token takes
   * the value of its own context position.
   */
  readonly from?: readonly number[] | undefined;
}

/**
 * Activation patching: puts what another run had at a site in the value's place.
 *
 * @param source what that run captured, `[rows, pos, ..]`, without padding on the left; one row serves all of this run's rows, else
 *   each takes its own. It stays the caller's
 * @throws ConfigError `PATCH_POSITIONS` at once where `from` and `positions` do not go together, and in the run where the source has no
 *   value for a wanted token; `EDIT_ROWS`; MismatchError `EDIT_WIDTH`
 */
export function patchFrom(source: Tensor, options: PatchOptions = {}): EditFunction {
  const sourceOf = positionMap(options);
  const [count = 0, length = 0] = source.shape;
  const places = Array.from({ length: count }, (_, place) => place);
  return (value, context) => {
    checkPerToken(context);
    const { site, rows } = context;
    const width = source.size / (count * length);
    checkWidth(width, value, context, formatShape(source.shape));
    const wanted = predicateOf(options);
    const picks = rows.flatMap((row) => {
      const from = count === 1 ? 0 : ofRow(places, row, site.name);
      return tokensOf(value, row).map((token) => {
        // What stands where nothing is wanted is not used.
        if (token === null) return 0;
        if (wanted !== null && !wanted({ ...token, row: row.index }, row, site.name)) return 0;
        return from * length + checkSource(sourceOf(token.position), length, row, context);
      });
    });
    const taken = take(source.reshape([count * length, width]), picks, { axis: 0 });
    return atPositions(value, taken.reshape(value.shape), options, context);
  };
}

function positionMap({ positions, from }: PatchOptions): (position: number) => number {
  if (from === undefined) return (position) => position;
  const flat = (positions ?? []).flatMap((entry) => (typeof entry === "number" ? [entry] : []));
  if (flat.length !== from.length || flat.length !== positions?.length) {
    throw new ConfigError({
      code: "PATCH_POSITIONS",
      message: `patchFrom was given ${from.length} positions to take values from and ${flat.length} to put them`,
      fix: "give positions and from of one length, the same for all rows",
    });
  }
  const map = new Map(flat.map((position, index) => [position, from[index] ?? 0]));
  return (position) => map.get(position) ?? position;
}

function checkSource(
  position: number,
  length: number,
  row: BatchRow,
  { site }: EditContext,
): number {
  if (Number.isInteger(position) && position >= 0 && position < length) return position;
  throw new ConfigError({
    code: "PATCH_POSITIONS",
    message: `row ${row.index} of ${site.name} is to take position ${position} of a source of ${length} positions`,
    fix: "name the positions that the source has, or give `from`",
    where: site.name,
  });
}
