// Products with stored weights, and the weights themselves, in parts. A weight lies in an arena, everything else in the heap.
import { internalFault } from "@latentkit/core";
import type { Engine } from "../threads/engine.ts";
import type { KernelExports } from "../wasm/kernels.generated.ts";
import type { TaskArguments, Tasks } from "./task.ts";

/** Stored formats as the numbers that jobs carry. */
export const formatCodes = {
  f32: 0,
  f16: 1,
  bf16: 2,
  q8_0: 3,
  q4_0: 4,
  q4_1: 5,
  q4_k: 6,
  q6_k: 7,
} as const;

/** Elements and bytes of a block, by the format's number. */
const blocks: readonly (readonly [elements: number, bytes: number])[] = [
  [1, 4],
  [1, 2],
  [1, 2],
  [32, 34],
  [32, 18],
  [32, 20],
  [256, 144],
  [256, 210],
];

/** Rows of a weight times prepared vectors, see {@link prepareVectors}. */
export interface StoredRowsJob {
  readonly arena: number;
  readonly format: number;
  readonly i16: boolean;
  /** Address of the first row, in the arena. */
  readonly weight: number;
  readonly rowBytes: number;
  readonly columns: number;
  /** Of the weight, which is the width of the output. */
  readonly weightRows: number;
  /** Vectors, which are the rows of the output. */
  readonly vectors: number;
  /** Address of the vectors as they are, in the arena. */
  readonly plain: number;
  /** Address of the prepared ones, and bytes from one to the next. */
  readonly prepared: number;
  readonly preparedBytes: number;
  /** Address of each thread's place for results in the arena, and bytes of one. */
  readonly results: number;
  readonly resultBytes: number;
  /** Addresses in the heap; 0 for no bias. */
  readonly bias: number;
  readonly out: number;
}

export function packStoredRows(job: StoredRowsJob): readonly number[] {
  return [
    job.arena,
    job.format,
    Number(job.i16),
    job.weight,
    job.rowBytes,
    job.columns,
    job.weightRows,
    job.vectors,
    job.plain,
    job.prepared,
    job.preparedBytes,
    job.results,
    job.resultBytes,
    job.bias,
    job.out,
  ];
}

/** No closure in here: each chunk of each product of each token comes by. */
function unpackStoredRows(args: TaskArguments): StoredRowsJob {
  return {
    arena: numberAt(args, 0),
    format: numberAt(args, 1),
    i16: numberAt(args, 2) === 1,
    weight: numberAt(args, 3),
    rowBytes: numberAt(args, 4),
    columns: numberAt(args, 5),
    weightRows: numberAt(args, 6),
    vectors: numberAt(args, 7),
    plain: numberAt(args, 8),
    prepared: numberAt(args, 9),
    preparedBytes: numberAt(args, 10),
    results: numberAt(args, 11),
    resultBytes: numberAt(args, 12),
    bias: numberAt(args, 13),
    out: numberAt(args, 14),
  };
}

function numberAt(args: TaskArguments, place: number): number {
  return args[place] ?? 0;
}

/** Rows of a weight as f32. */
export interface StoredDecodeJob {
  readonly arena: number;
  readonly format: number;
  /** Address of the first row, in the arena. */
  readonly weight: number;
  readonly rowBytes: number;
  readonly columns: number;
  /** Address of i32 row numbers in the heap; 0 for the rows in order. */
  readonly ids: number;
  /** Rows that the weight has; row numbers beyond give NaN. */
  readonly weightRows: number;
  /** Address in the heap. */
  readonly out: number;
}

export function packStoredDecode(job: StoredDecodeJob): readonly number[] {
  const { arena, format, weight, rowBytes, columns, ids, weightRows, out } = job;
  return [arena, format, weight, rowBytes, columns, ids, weightRows, out];
}

/** Several vectors times a weight, whose rows are decoded and multiplied a chunk at a time. */
export interface StoredPanelsJob {
  readonly arena: number;
  readonly format: number;
  /** Address of the first row, in the arena. */
  readonly weight: number;
  readonly rowBytes: number;
  readonly columns: number;
  /** Of the weight, which is the width of the output. */
  readonly weightRows: number;
  /** Address of the vectors in the heap, and how many there are. */
  readonly x: number;
  readonly vectors: number;
  /** Addresses in the heap; 0 for no bias. */
  readonly bias: number;
  readonly out: number;
}

export function packStoredPanels(job: StoredPanelsJob): readonly number[] {
  const { arena, format, weight, rowBytes, columns, weightRows, x, vectors, bias, out } = job;
  return [arena, format, weight, rowBytes, columns, weightRows, x, vectors, bias, out];
}

/** Bytes of scratch for `rows` rows: as f32, and behind that as they are stored. */
export function panelBytes(rows: number, columns: number, rowBytes: number): number {
  return align(rows * columns * 4) + rows * rowBytes;
}

export const storedTasks = {
  /** {@link StoredRowsJob}, over rows of the weight. */
  storedRows(engine, args, begin, end) {
    const job = unpackStoredRows(args);
    const { wasm, memory } = arenaOf(engine, job.arena);
    const results = job.results + engine.thread * job.resultBytes;
    const count = end - begin;
    const found = new Uint8Array(memory.buffer, results, count * 4);
    for (let vector = 0; vector < job.vectors; vector++) {
      multiplyRows(wasm, job, job.weight + begin * job.rowBytes, count, vector, results);
      const out = job.out + (vector * job.weightRows + begin) * 4;
      new Uint8Array(engine.memory.buffer, out, count * 4).set(found);
      if (job.bias !== 0) engine.wasm.storedAddBias(out, job.bias + begin * 4, count);
    }
  },

  /** {@link StoredPanelsJob}, over rows of the weight; scratch of {@link panelBytes} for a chunk. */
  storedPanels(engine, args, begin, end, scratch) {
    const [arena = 0, format = 0, weight = 0, rowBytes = 0, columns = 0] = args;
    const [, , , , , weightRows = 0, x = 0, vectors = 0, bias = 0, out = 0] = args;
    const count = end - begin;
    const stored = scratch + align(count * columns * 4);
    const bytes = new Uint8Array(
      arenaOf(engine, arena).memory.buffer,
      weight + begin * rowBytes,
      count * rowBytes,
    );
    new Uint8Array(engine.memory.buffer, stored, count * rowBytes).set(bytes);
    decodeRows(engine.wasm, format, stored, rowBytes, count, columns, scratch);
    const to = out + begin * 4;
    engine.gemm.sgemm({
      transposeA: false,
      transposeB: true,
      m: vectors,
      n: count,
      k: columns,
      alpha: 1,
      a: x,
      strideA: columns,
      b: scratch,
      strideB: columns,
      beta: 0,
      out: to,
      strideOut: weightRows,
    });
    if (bias !== 0) engine.wasm.finishRows(to, weightRows, vectors, count, bias + begin * 4, 0);
  },

  /** {@link StoredDecodeJob}, over rows; scratch for the stored bytes of a chunk. */
  storedDecode(engine, args, begin, end, scratch) {
    const [arena = 0, format = 0, weight = 0, rowBytes = 0, columns = 0] = args;
    const [, , , , , ids = 0, weightRows = 0, out = 0] = args;
    const stored = new Uint8Array(arenaOf(engine, arena).memory.buffer);
    const heap = new Uint8Array(engine.memory.buffer);
    const count = end - begin;
    const to = out + begin * columns * 4;
    const copy = (row: number, rows: number, place: number): void => {
      const from = weight + row * rowBytes;
      heap.set(stored.subarray(from, from + rows * rowBytes), scratch + place * rowBytes);
    };
    if (ids === 0) copy(begin, count, 0);
    const picks = ids === 0 ? [] : new Int32Array(engine.memory.buffer, ids + begin * 4, count);
    const outside = (id: number): boolean => id < 0 || id >= weightRows;
    for (const [place, id] of picks.entries()) copy(outside(id) ? 0 : id, 1, place);
    decodeRows(engine.wasm, format, scratch, rowBytes, count, columns, to);
    for (const [place, id] of picks.entries()) {
      if (!outside(id)) continue;
      const row = new Float32Array(engine.memory.buffer, to + place * columns * 4, columns);
      row.fill(Number.NaN);
    }
  },
} as const satisfies Tasks;

function arenaOf(engine: Engine, index: number): Engine["arenas"][number] {
  const arena = engine.arenas[index];
  if (arena === undefined) throw internalFault(`thread ${engine.thread} has no arena ${index}`);
  return arena;
}

function decodeRows(
  wasm: KernelExports,
  format: number,
  weight: number,
  rowBytes: number,
  rows: number,
  columns: number,
  out: number,
): void {
  const decoders = [
    wasm.storedDecodeF32,
    wasm.storedDecodeF16,
    wasm.storedDecodeBf16,
    wasm.storedDecodeQ8,
    wasm.storedDecodeQ4,
    wasm.storedDecodeQ4M,
    wasm.storedDecodeQ4K,
    wasm.storedDecodeQ6K,
  ] as const;
  const [elements] = blocks[format] ?? [1];
  decoders[format]?.(weight, rowBytes, rows, columns / elements, out);
}

/** Bytes of one prepared vector: its numbers, a sum for each 32 and a scale for each 32. */
export function preparedBytes(columns: number): number {
  return align(columns * 4) + 2 * align(Math.ceil(columns / 32) * 4);
}

/** Puts the vectors of a job, which lie at `plain`, into the order in which their format's kernel meets them. */
export function prepareVectors(
  wasm: KernelExports,
  { format, i16, columns, vectors, plain, prepared, preparedBytes: bytes }: StoredRowsJob,
): void {
  if (format === formatCodes.f32) return;
  for (let vector = 0; vector < vectors; vector++) {
    const [x, out] = [plain + vector * columns * 4, prepared + vector * bytes];
    const { sums, scales } = partsOf(out, columns);
    const half = halfRuns[format] ?? 0;
    if (format === formatCodes.f16 || format === formatCodes.bf16)
      wasm.storedPrepareHalves(x, columns, out);
    else if (i16) wasm.storedPrepareI16(x, columns, Number(half > 0), out, sums, scales);
    else if (format === formatCodes.q4_k || format === formatCodes.q6_k)
      wasm.storedPrepareBytes(x, columns, half, out, sums);
    else wasm.storedPrepareWide(x, columns, Number(half > 0), out, sums, scales);
  }
}

/** By the format's number: how many neighbours lie in the low halves of bytes before as many lie in the high halves. */
const halfRuns: readonly number[] = [0, 0, 0, 0, 16, 16, 32, 0];

function partsOf(prepared: number, columns: number): { sums: number; scales: number } {
  const sums = prepared + align(columns * 4);
  return { sums, scales: sums + align(Math.ceil(columns / 32) * 4) };
}

/** `count` rows from `weight` on times one of the job's vectors. */
function multiplyRows(
  wasm: KernelExports,
  job: StoredRowsJob,
  weight: number,
  count: number,
  vector: number,
  out: number,
): void {
  const { format, i16, columns, rowBytes } = job;
  const plain = job.plain + vector * columns * 4;
  const x = job.prepared + vector * job.preparedBytes;
  const { sums, scales } = partsOf(x, columns);
  const [elements] = blocks[format] ?? [1];
  const each = columns / elements;
  switch (format) {
    case formatCodes.f32:
      wasm.rowTimesTransposed(count, columns, 1, plain, weight, columns, 0, out);
      break;
    case formatCodes.f16:
      wasm.storedRowsF16(weight, rowBytes, count, columns, plain, x, out);
      break;
    case formatCodes.bf16:
      wasm.storedRowsBf16(weight, rowBytes, count, columns, plain, x, out);
      break;
    case formatCodes.q8_0:
      if (i16) wasm.storedRowsQ8I16(weight, rowBytes, count, each, x, scales, out);
      else wasm.storedRowsQ8(weight, rowBytes, count, each, x, scales, out);
      break;
    case formatCodes.q4_0:
      if (i16) wasm.storedRowsQ4I16(weight, rowBytes, count, each, x, sums, scales, 0, out);
      else wasm.storedRowsQ4(weight, rowBytes, count, each, x, sums, scales, out);
      break;
    case formatCodes.q4_1:
      if (i16) wasm.storedRowsQ4I16(weight, rowBytes, count, each, x, sums, scales, 1, out);
      else wasm.storedRowsQ4M(weight, rowBytes, count, each, x, sums, scales, out);
      break;
    case formatCodes.q4_k:
      if (i16) wasm.storedRowsQ4KI16(weight, rowBytes, count, each, x, sums, scales, out);
      else wasm.storedRowsQ4K(weight, rowBytes, count, each, x, sums, out);
      break;
    default:
      if (i16) wasm.storedRowsQ6KI16(weight, rowBytes, count, each, x, scales, out);
      else wasm.storedRowsQ6K(weight, rowBytes, count, each, x, out);
  }
}

/** Up to a multiple of 64. */
function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}
