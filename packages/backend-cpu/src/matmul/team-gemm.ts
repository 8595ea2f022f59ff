import { gemmTile, packGemm } from "../tasks/matmul.ts";
import type { Team } from "../threads/team.ts";
import type { BatchedCall, BatchedGemm } from "./provider.ts";

/** Work of a chunk at least, in multiplications: 40 microseconds of a library on one thread, 100 of our own kernels. */
const leastWork = 1 << 21;
/** Multiplications that take as long as moving one number between the memory and the processor. */
const workOfMove = 8;
/**
 * Tiles of a product, as long as none of them is larger than {@link mostWork}: enough for a thread that was held up to be helped,
 * and few enough that each is a large product (a quarter of 1024 x 1024 costs OpenBLAS 2% against the whole, an eighth 6%).
 */
const fewTiles = 4;
/** Beyond that there are more of them, which keep more threads busy and the output in the cache for what follows. */
const mostWork = 1 << 29;
const mostTiles = 32;
/** Rows and columns of a tile are a multiple of this, so that no register tile is cut. */
const multiple = 16;

const single = { batch: 1, batchA: 0, batchB: 0, batchOut: 0, bias: 0, activation: 0 };

/**
 * Divides products among a team's threads, in tiles. The division depends on the products' sizes alone, so that results are the
 * same for any number of threads. Small products stay on the caller's thread.
 */
export function teamGemm(team: Team): BatchedGemm {
  const batched = (call: BatchedCall): void => {
    const { batch, m, n, k } = call;
    if (batch === 0 || m === 0 || n === 0) return;
    const { tileRows, tileColumns, tiles, grain } = tilesOf(m, n, k, batch);
    if (tiles === 1) gemmTile(team.engine, call, 0, 0, m, 0, n);
    else team.run("gemmTiles", packGemm(call, tileRows, tileColumns), { count: tiles, grain });
  };
  return {
    sgemm(call) {
      batched({ ...call, ...single });
    },
    batched,
  };
}

/** How the products of a batch are cut. */
export function tilesOf(
  m: number,
  n: number,
  k: number,
  batch: number,
): {
  readonly tileRows: number;
  readonly tileColumns: number;
  /** In the whole batch. */
  readonly tiles: number;
  /** Tiles of a chunk. */
  readonly grain: number;
} {
  const each = m * n * k + workOfMove * (m * n + m * k + k * n);
  const work = batch * each;
  const wanted = Math.min(
    Math.floor(work / leastWork),
    Math.max(fewTiles, Math.min(mostTiles, Math.floor(work / mostWork))),
  );
  let [rowTiles, columnTiles] = [1, 1];
  while (rowTiles * columnTiles * batch < wanted) {
    const [height, width] = [m / rowTiles, n / columnTiles];
    if (Math.max(height, width) < 2 * multiple) break;
    if (height >= width) rowTiles *= 2;
    else columnTiles *= 2;
  }
  const tileRows = Math.ceil(m / rowTiles / multiple) * multiple;
  const tileColumns = Math.ceil(n / columnTiles / multiple) * multiple;
  const tiles = batch * Math.ceil(m / tileRows) * Math.ceil(n / tileColumns);
  return { tileRows, tileColumns, tiles, grain: Math.ceil((leastWork / work) * tiles) };
}
