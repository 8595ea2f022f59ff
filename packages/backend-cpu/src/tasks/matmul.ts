import type { BatchedCall } from "../matmul/provider.ts";
import type { Engine } from "../threads/engine.ts";
import type { TaskArguments, Tasks } from "./task.ts";

export const matmulTasks = {
  /** Tiles `begin .. end` of the products of a batch: entry after entry, in each row after row of tiles. See {@link packGemm}. */
  gemmTiles(engine, args, begin, end) {
    const call = unpackGemm(args);
    const [tileRows = 1, tileColumns = 1] = args;
    const across = Math.ceil(call.n / tileColumns);
    const tiles = across * Math.ceil(call.m / tileRows);
    for (let index = begin; index < end; index++) {
      const entry = Math.floor(index / tiles);
      const row = Math.floor((index - entry * tiles) / across) * tileRows;
      const column = (index % across) * tileColumns;
      const [rows, columns] = [call.m - row, call.n - column];
      gemmTile(
        engine,
        call,
        entry,
        row,
        Math.min(tileRows, rows),
        column,
        Math.min(tileColumns, columns),
      );
    }
  },
} as const satisfies Tasks;

/** A tile of `m` rows and `n` columns on this thread, with what follows the product while the tile is in the cache. */
export function gemmTile(
  { wasm, gemm }: Engine,
  call: BatchedCall,
  entry: number,
  row: number,
  m: number,
  column: number,
  n: number,
): void {
  const { transposeA, transposeB, k, alpha, beta, strideA, strideB, strideOut } = call;
  const a = call.a + (entry * call.batchA + row * (transposeA ? 1 : strideA)) * 4;
  const b = call.b + (entry * call.batchB + column * (transposeB ? strideB : 1)) * 4;
  const out = call.out + (entry * call.batchOut + row * strideOut + column) * 4;
  if (k > 0) {
    gemm.sgemm({
      transposeA,
      transposeB,
      m,
      n,
      k,
      alpha,
      a,
      strideA,
      b,
      strideB,
      beta,
      out,
      strideOut,
    });
  } else {
    // An empty sum: libraries differ in what they do with the output.
    for (let r = 0; r < m; r++) {
      const at = out + r * strideOut * 4;
      if (beta === 0) wasm.fillBytes(at, 0, n * 4);
      else wasm.affine(at, beta, 0, at, n);
    }
  }
  const { bias, activation } = call;
  if (bias !== 0 || activation !== 0)
    wasm.finishRows(out, strideOut, m, n, bias === 0 ? 0 : bias + column * 4, activation);
}

/** A job's numbers, in the order in which they are read back. */
export function packGemm(
  job: BatchedCall,
  tileRows: number,
  tileColumns: number,
): readonly number[] {
  return [
    tileRows,
    tileColumns,
    Number(job.transposeA),
    Number(job.transposeB),
    job.m,
    job.n,
    job.k,
    job.alpha,
    job.a,
    job.strideA,
    job.b,
    job.strideB,
    job.beta,
    job.out,
    job.strideOut,
    job.batch,
    job.batchA,
    job.batchB,
    job.batchOut,
    job.bias,
    job.activation,
  ];
}

function unpackGemm(args: TaskArguments): BatchedCall {
  const at = (index: number): number => args[index + 2] ?? 0;
  return {
    transposeA: at(0) === 1,
    transposeB: at(1) === 1,
    m: at(2),
    n: at(3),
    k: at(4),
    alpha: at(5),
    a: at(6),
    strideA: at(7),
    b: at(8),
    strideB: at(9),
    beta: at(10),
    out: at(11),
    strideOut: at(12),
    batch: at(13),
    batchA: at(14),
    batchB: at(15),
    batchOut: at(16),
    bias: at(17),
    activation: at(18),
  };
}
