import { storedBlock, type StoredFormat } from "@latentkit/core";
import type { Slice, StoredKernels, WeightMatrix } from "@latentkit/tensor";
import { read, write } from "../issue/operands.ts";
import { type Parameter, type Runtime, u32 } from "../runtime.ts";
import { issueMatmul } from "./matmul.ts";
import { produce } from "./produce.ts";

/** Vectors up to this many are multiplied with the stored bytes; more with rows that are decoded first, a part at a time. */
const fewRows = 4;
/** Elements that are decoded at a time. */
const decodedElements = 4 * 1024 * 1024;

/**
 * Products with weights as they are stored. Up to 4 vectors at once: a workgroup to each row of the weight, whose bytes are read once.
 * More: rows are decoded into scratch of up to 16 MiB and multiplied as tensors, so that each weight is decoded once. `activations` of
 * `"i16"` permits rounding that f32 arithmetic has no use for: f32 is taken.
 */
export function storedKernels(runtime: Runtime): StoredKernels {
  const decode = (weight: WeightMatrix, firstRow: number, rows: number, out: Slice): void =>
    produce(runtime, {
      name: `dequantizeRows:${weight.format}`,
      out: { ...out, length: rows * weight.columns },
      raw: true,
      operands: { bytes: read(bytesOf(weight)) },
      parameters: { ...sizesOf(weight), first: u32(firstRow) },
      element: () => `${decoderText(weight.format)}
fn element(i: u32) -> u32 { return weight_at(p.first + i / p.columns, i % p.columns); }`,
    });
  /** Calls `use` with parts of the weight, decoded: f32 `[rows, columns]` from row `first` on. */
  const inParts = (
    weight: WeightMatrix,
    use: (part: Slice, first: number, rows: number) => void,
  ): void => {
    const most = Math.max(1, Math.floor(decodedElements / Math.max(1, weight.columns)));
    for (let first = 0; first < weight.rows; first += most) {
      const rows = Math.min(most, weight.rows - first);
      runtime.withScratch([["f32", rows * weight.columns]], (part) => {
        decode(weight, first, rows, part);
        use(part, first, rows);
      });
    }
  };
  return {
    linearStored(x, rows, weight, bias, out) {
      const { columns } = weight;
      if (rows <= fewRows) {
        runtime.issue({
          name: `linearStored:${weight.format}:${rows}`,
          operands: {
            x: read(x),
            bytes: read(bytesOf(weight)),
            bias: bias === null ? null : read(bias),
            out: write(out),
          },
          parameters: { ...sizesOf(weight), outs: u32(weight.rows) },
          groups: rows === 0 ? 0 : weight.rows,
          lanes: 64,
          body: () => `${decoderText(weight.format)}
fn run(group: u32, lane: u32) {
${each(rows, (row) => `  var sum_${row} = 0.0;`)}
  for (var c = lane; c < p.columns; c += LANES) {
    let w = bitcast<f32>(weight_at(group, c));
${each(rows, (row) => `    sum_${row} += w * load_x(${row}u * p.columns + c);`)}
  }
${each(
  rows,
  (row) => `  let total_${row} = group_sum${row === 0 ? "" : `_${row + 1}`}(lane, sum_${row});
  if (lane == 0u) { store_out(${row}u * p.outs + group, total_${row}${bias === null ? "" : " + load_bias(group)"}); }`,
)}
}`,
        });
        return;
      }
      inParts(weight, (part, first, count) =>
        issueMatmul(
          runtime,
          x,
          part,
          { ...out, offset: out.offset + first, length: out.length - first },
          {
            ...oneProduct,
            m: rows,
            n: count,
            k: columns,
            transposeB: true,
            rowStrideA: columns,
            rowStrideB: columns,
            rowStrideOut: weight.rows,
            epilogue: {
              bias: bias === null ? null : { ...bias, offset: bias.offset + first, length: count },
              activation: null,
            },
          },
        ),
      );
    },

    linearStoredInputGradient(dOut, rows, weight, dx) {
      const { columns } = weight;
      if (weight.rows === 0)
        produce(runtime, {
          name: "zeros",
          out: dx,
          element: () => "fn element(i: u32) -> f32 { return 0.0; }",
        });
      inParts(weight, (part, first, count) =>
        issueMatmul(
          runtime,
          { ...dOut, offset: dOut.offset + first, length: dOut.length - first },
          part,
          dx,
          {
            ...oneProduct,
            m: rows,
            n: columns,
            k: count,
            transposeB: false,
            rowStrideA: weight.rows,
            rowStrideB: columns,
            rowStrideOut: columns,
            beta: first === 0 ? 0 : 1,
          },
        ),
      );
    },

    dequantizeRows: decode,

    embeddingStored(weight, ids, rows, out) {
      produce(runtime, {
        name: `embeddingStored:${weight.format}`,
        out: { ...out, length: rows * weight.columns },
        raw: true,
        operands: { bytes: read(bytesOf(weight)), ids: read(ids) },
        parameters: { ...sizesOf(weight), rows: u32(weight.rows) },
        element: () => `${decoderText(weight.format)}
fn element(i: u32) -> u32 {
  let id = load_ids(i / p.columns);
  if (id < 0 || id >= i32(p.rows)) { return 0x7fc00000u; }
  return weight_at(u32(id), i % p.columns);
}`,
      });
    },
  };
}

const oneProduct = {
  batch: 1,
  transposeA: false,
  batchStrideA: 0,
  batchStrideB: 0,
  batchStrideOut: 0,
  alpha: 1,
  beta: 0,
} as const;

const each = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join("\n");

function bytesOf(weight: WeightMatrix): Slice {
  return {
    storage: weight.storage,
    offset: weight.byteOffset,
    length: weight.rows * rowBytes(weight),
    dtype: "u8",
  };
}

function rowBytes({ columns, format }: WeightMatrix): number {
  const block = storedBlock(format);
  return (columns / block.elements) * block.bytes;
}

function sizesOf(weight: WeightMatrix): Readonly<Record<string, Parameter>> {
  return { columns: u32(weight.columns), rowBytes: u32(rowBytes(weight)) };
}

/** Text of the bits of one element, given where its block starts and its place in there; see `storedBlock` for the layouts. */
const decoders: Readonly<Record<StoredFormat, string>> = {
  f32: "return half_bits(at) | (half_bits(at + 2u) << 16u);",
  f16: "return widen_f16(half_bits(at));",
  bf16: "return half_bits(at) << 16u;",
  q8_0: "return bitcast<u32>(half(at) * signed_byte(at + 2u + i));",
  q4_0: `let pair = load_bytes(at + 2u + i % 16u);
  return bitcast<u32>(half(at) * f32(i32((pair >> (i / 16u * 4u)) & 15u) - 8));`,
  q4_1: `let pair = load_bytes(at + 4u + i % 16u);
  return bitcast<u32>(rounded(half(at) * f32((pair >> (i / 16u * 4u)) & 15u)) + half(at + 2u));`,
  q4_k: `let j = i / 32u;
  var s = load_bytes(at + 4u + j) & 63u;
  var t = load_bytes(at + 8u + j) & 63u;
  if (j >= 4u) {
    let both = load_bytes(at + 8u + j);
    s = (both & 15u) | ((load_bytes(at + j) >> 6u) << 4u);
    t = (both >> 4u) | ((load_bytes(at + 4u + j) >> 6u) << 4u);
  }
  let q = (load_bytes(at + 16u + (j / 2u) * 32u + i % 32u) >> ((j & 1u) * 4u)) & 15u;
  return bitcast<u32>(rounded(half(at) * f32(s) * f32(q)) - rounded(half(at + 2u) * f32(t)));`,
  q6_k: `let j = i / 16u;
  let upper = j / 8u;
  let quarter = (j / 2u) & 3u;
  let part = (j & 1u) * 16u + i % 16u;
  let low = (load_bytes(at + upper * 64u + (quarter & 1u) * 32u + part) >> ((quarter / 2u) * 4u)) & 15u;
  let high = (load_bytes(at + 128u + upper * 32u + part) >> (2u * quarter)) & 3u;
  return bitcast<u32>(half(at + 208u) * signed_byte(at + 192u + j) * f32(i32(low | (high << 4u)) - 32));`,
};

/** Text of `weight_at(row, column)`: an element's bits as f32. */
function decoderText(format: StoredFormat): string {
  const { elements, bytes } = storedBlock(format);
  return /* wgsl */ `
fn half_bits(at: u32) -> u32 { return load_bytes(at) | (load_bytes(at + 1u) << 8u); }
fn half(at: u32) -> f32 { return bitcast<f32>(widen_f16(half_bits(at))); }
fn signed_byte(at: u32) -> f32 { return f32(extractBits(bitcast<i32>(load_bytes(at)), 0u, 8u)); }
fn element_of(at: u32, i: u32) -> u32 {
  ${decoders[format]}
}
fn weight_at(row: u32, column: u32) -> u32 {
  return element_of(row * p.rowBytes + (column / ${elements}u) * ${bytes}u, column % ${elements}u);
}`;
}
