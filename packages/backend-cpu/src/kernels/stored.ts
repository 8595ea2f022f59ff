import { DeviceError, storedBlock, internalFault } from "@latentkit/core";
import type { Storage, StoredKernels, WeightMatrix } from "@latentkit/tensor";
import { resultBytes, vectorBytes, type WeightArenas, WeightStorage } from "../memory/weights.ts";
import { address, addressOrNull, type Runtime } from "../runtime.ts";
import {
  formatCodes,
  packStoredDecode,
  packStoredPanels,
  packStoredRows,
  panelBytes,
  preparedBytes,
  prepareVectors,
  type StoredRowsJob,
} from "../tasks/stored.ts";

/**
 * Vectors up to which reading the stored bytes once for each is faster than making f32 of them for a matrix product: 49152 x 576
 * takes some 4 ms for each vector (q4_1; 2 of bf16 and with 16-bit activations), and 15 as a product for any few.
 */
const fewVectors = 4;
const fewQuickVectors = 6;
/** Weights of a chunk that are decoded: 10 to 20 microseconds. */
const chunkWeights = 131_072;
/**
 * Chunks of a product with vectors, so that the threads end together, as long as each has between these many weights, 7 to 40 microseconds
 * of work. Chunks of one size would be three of 576 x 576, of which one of two threads does two, and a single one of 192 x 576.
 */
const fewChunks = 8;
const leastProducts = 24_576;
const mostProducts = 131_072;
/**
 * Vectors up to which each thread decodes a few rows and multiplies them before the next, so that they never leave its second cache
 * (256 KiB): 1536 x 576 of q4_1 takes one thread 0.8 ms for 16 vectors and 3.3 for 128, where large panels take 1.5 and 4.6.
 */
const severalVectors = 128;
const hotWeights = 65_536;
/**
 * Numbers of a result, and multiplications, up to which OpenBLAS takes matrices as they lie, without packing them: with up to 16 vectors that
 * is a fifth to a half faster, with more the rows become too few.
 */
const unpackedResults = 1024;
const unpackedProducts = 1_000_000;
const unpackedVectors = 16;
/** Weights that are f32 at one time, 8 MiB: large enough for a fast product, small enough for the last cache. */
const panelWeights = 2_097_152;

/** Throws `DeviceError` `DEVICE_MISMATCH` for another backend's storage. */
export function ownWeights(storage: Storage): WeightStorage {
  if (storage instanceof WeightStorage) return storage;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: "the CPU device was given another backend's storage",
    fix: "use tensors of one device together",
  });
}

/** A weight's place and sizes as tasks take them. */
function placeOf(weight: WeightMatrix): {
  readonly arena: number;
  readonly weight: number;
  readonly rowBytes: number;
  readonly format: number;
  readonly columns: number;
} {
  const { storage, byteOffset, columns, format } = weight;
  const { arena, address: start } = ownWeights(storage);
  const block = storedBlock(format);
  return {
    arena,
    weight: start + byteOffset,
    rowBytes: (columns / block.elements) * block.bytes,
    format: formatCodes[format],
    columns,
  };
}

export function storedKernels(
  { heap, team, gemm, wasm }: Runtime,
  arenas: WeightArenas,
): StoredKernels {
  /** Rows `first .. first + rows`, or those that `ids` name, as f32 at `out`. */
  function decode(
    weight: WeightMatrix,
    first: number,
    rows: number,
    ids: number,
    out: number,
  ): void {
    const place = placeOf(weight);
    const grain = Math.max(1, Math.floor(chunkWeights / Math.max(1, place.columns)));
    team.run(
      "storedDecode",
      packStoredDecode({
        ...place,
        weight: place.weight + first * place.rowBytes,
        ids,
        weightRows: weight.rows,
        out,
      }),
      { count: rows, grain, scratchBytes: Math.min(grain, rows) * place.rowBytes },
    );
  }

  /** Calls `use` for one part of the weight's rows after the other, with the part as f32. */
  function eachPanel(
    weight: WeightMatrix,
    use: (panel: number, first: number, rows: number) => void,
  ): void {
    const { rows, columns } = weight;
    const most = Math.min(rows, Math.max(64, Math.floor(panelWeights / columns / 64) * 64));
    heap.withScratch(most * columns * 4, (panel) => {
      for (let first = 0; first < rows; first += most) {
        const count = Math.min(most, rows - first);
        decode(weight, first, count, 0, panel);
        use(panel, first, count);
      }
    });
  }

  /** Vectors times the stored rows, as many at a time as the arena has room for. */
  function multiplyFew(
    x: number,
    vectors: number,
    weight: WeightMatrix,
    bias: number,
    out: number,
  ): void {
    const place = placeOf(weight);
    const { columns } = place;
    const prepared = preparedBytes(columns);
    const most = Math.floor(vectorBytes / (columns * 4 + prepared));
    const { vectors: plain, results } = arenas.places(place.arena);
    const engine = team.engine.arenas[place.arena];
    if (engine === undefined) throw internalFault(`there is no arena ${place.arena}`);
    const work = (columns * weight.rows * vectors) / fewChunks;
    const products = Math.min(mostProducts, Math.max(leastProducts, work));
    // A multiple of four: kernels take four rows at a time.
    const grain = Math.min(
      resultBytes / 4,
      Math.max(4, Math.ceil(products / columns / vectors / 4) * 4),
    );
    for (let first = 0; first < vectors; first += most) {
      const count = Math.min(most, vectors - first);
      const bytes = count * columns * 4;
      const from = x + first * columns * 4;
      arenas.bytes(place.arena).set(heap.bytes.subarray(from, from + bytes), plain);
      // Field by field: this runs for every matrix of every token, and a spread takes as long as a small product.
      const job: StoredRowsJob = {
        arena: place.arena,
        format: place.format,
        i16: weight.activations === "i16",
        weight: place.weight,
        rowBytes: place.rowBytes,
        columns,
        weightRows: weight.rows,
        vectors: count,
        plain,
        prepared: plain + Math.ceil(bytes / 64) * 64,
        preparedBytes: prepared,
        results,
        resultBytes,
        bias,
        out: out + first * weight.rows * 4,
      };
      prepareVectors(engine.wasm, job);
      team.run("storedRows", packStoredRows(job), { count: weight.rows, grain });
    }
  }

  /** Vectors times the stored rows, decoded a few at a time by the thread that multiplies them. */
  function multiplySeveral(
    x: number,
    vectors: number,
    weight: WeightMatrix,
    bias: number,
    out: number,
  ): void {
    const place = placeOf(weight);
    const { columns, rowBytes } = place;
    const unpacked =
      vectors > unpackedVectors
        ? weight.rows
        : Math.min(unpackedResults, unpackedProducts / columns) / vectors;
    const grain = Math.max(16, Math.floor(Math.min(hotWeights / columns, unpacked) / 16) * 16);
    team.run(
      "storedPanels",
      packStoredPanels({ ...place, weightRows: weight.rows, x, vectors, bias, out }),
      { count: weight.rows, grain, scratchBytes: panelBytes(grain, columns, rowBytes) },
    );
  }

  return {
    linearStored(x, rows, weight, bias, out) {
      const [from, to, offsets] = [address(x), address(out), addressOrNull(bias)];
      const { columns } = weight;
      const fits = columns * 4 + preparedBytes(columns) + 64 <= vectorBytes;
      const quick = weight.activations === "i16" || storedBlock(weight.format).elements === 1;
      if (columns > 0 && fits && rows <= (quick ? fewQuickVectors : fewVectors)) {
        multiplyFew(from, rows, weight, offsets, to);
        return;
      }
      if (columns > 0 && rows <= severalVectors) {
        multiplySeveral(from, rows, weight, offsets, to);
        return;
      }
      const multiply = (b: number, first: number, n: number): void => {
        gemm.batched({
          transposeA: false,
          transposeB: true,
          m: rows,
          n,
          k: columns,
          alpha: 1,
          a: from,
          strideA: columns,
          b,
          strideB: columns,
          beta: 0,
          out: to + first * 4,
          strideOut: weight.rows,
          batch: 1,
          batchA: 0,
          batchB: 0,
          batchOut: 0,
          bias: offsets === 0 ? 0 : offsets + first * 4,
          activation: 0,
        });
      };
      if (columns === 0) multiply(from, 0, weight.rows);
      else eachPanel(weight, multiply);
    },

    linearStoredInputGradient(dOut, rows, weight, dx) {
      const [from, to] = [address(dOut), address(dx)];
      const { columns } = weight;
      if (weight.rows === 0) {
        wasm.fillBytes(to, 0, rows * columns * 4);
        return;
      }
      eachPanel(weight, (b, first, k) => {
        gemm.sgemm({
          transposeA: false,
          transposeB: false,
          m: rows,
          n: columns,
          k,
          alpha: 1,
          a: from + first * 4,
          strideA: weight.rows,
          b,
          strideB: columns,
          beta: first === 0 ? 0 : 1,
          out: to,
          strideOut: columns,
        });
      });
    },

    dequantizeRows(weight, firstRow, rows, out) {
      decode(weight, firstRow, rows, 0, address(out));
    },

    embeddingStored(weight, ids, rows, out) {
      decode(weight, 0, rows, address(ids), address(out));
    },
  };
}
