import { maskReasons } from "@latentkit/activations";
import { MismatchError, ShapeError } from "@latentkit/core";
import type { SaeConfig } from "../config.ts";

/** Activations to evaluate on, a piece at a time. */
export interface EvaluationRows {
  /** Raw, `[n, dIn]`. */
  readonly activations: Float32Array;
  /** What a transcoder should make of them, raw, `[n, dOut]`; an autoencoder should make them again. */
  readonly targets?: Float32Array | undefined;
  /** One of `maskReasons` for each row; without it no row is masked. */
  readonly masks?: ArrayLike<number> | undefined;
  /** The document of each row, for intervals; without it there are none. */
  readonly documents?: ArrayLike<number> | undefined;
  /** Position of each row in its context, for the error by position; without it there is none. */
  readonly positions?: ArrayLike<number> | undefined;
}

/** Rows of a piece. */
export interface PickedRows {
  /** `[n, dIn]`. */
  readonly activations: Float32Array;
  /** What they should become, `[n, dOut]`: for an autoencoder the same array. */
  readonly targets: Float32Array;
}

/** Unmasked rows. */
export interface KeptRows extends PickedRows {
  /** The document of each row; null where that is not known. */
  readonly documents: Int32Array | null;
  readonly positions: Int32Array | null;
}

/**
 * Unmasked rows, and masked ones that are not padding.
 *
 * @throws ShapeError `SHAPE_ROWS`; MismatchError `EVALUATION_TARGETS` for a transcoder without targets
 */
export function splitRows(
  piece: EvaluationRows,
  { dIn, dOut }: Pick<SaeConfig, "dIn" | "dOut">,
): { readonly kept: KeptRows; readonly other: PickedRows } {
  const { activations, masks, documents, positions } = piece;
  if (dOut !== null && piece.targets === undefined) {
    throw new MismatchError({
      code: "EVALUATION_TARGETS",
      message: "a transcoder was given activations to read, and none that it should give",
      fix: "give each piece its targets, the activations of the site that the transcoder writes",
    });
  }
  const targets = dOut === null ? activations : (piece.targets ?? activations);
  const rows = activations.length / dIn;
  const fits = [masks, documents, positions].every(
    (column) => column === undefined || column.length === rows,
  );
  const width = dOut ?? dIn;
  if (!Number.isInteger(rows) || targets.length !== rows * width || !fits) {
    throw new ShapeError({
      code: "SHAPE_ROWS",
      message: `${activations.length} numbers${dOut === null ? "" : `, ${targets.length} of targets`}, ${masks?.length ?? "no"} masks, ${documents?.length ?? "no"} documents and ${positions?.length ?? "no"} positions do not go with rows of width ${dIn}${dOut === null ? "" : ` and targets of width ${dOut}`}`,
      fix: "give whole rows, with one mask, document and position for each",
    });
  }
  const [keep, other]: [number[], number[]] = [[], []];
  for (let row = 0; row < rows; row++) {
    const reason = masks?.[row] ?? maskReasons.keep;
    if (reason === maskReasons.keep) keep.push(row);
    else if (reason !== maskReasons.padding) other.push(row);
  }
  const gather = (from: Float32Array, columns: number, picked: readonly number[]): Float32Array => {
    if (picked.length === rows) return from;
    const result = new Float32Array(picked.length * columns);
    for (const [at, row] of picked.entries())
      result.set(from.subarray(row * columns, (row + 1) * columns), at * columns);
    return result;
  };
  const pick = (picked: readonly number[]): PickedRows => {
    const own = gather(activations, dIn, picked);
    return {
      activations: own,
      targets: targets === activations ? own : gather(targets, width, picked),
    };
  };
  const column = (values: ArrayLike<number> | undefined): Int32Array | null =>
    values === undefined ? null : Int32Array.from(keep, (row) => values[row] ?? 0);
  return {
    kept: {
      ...pick(keep),
      documents: column(documents),
      positions: column(positions),
    },
    other: pick(other),
  };
}
