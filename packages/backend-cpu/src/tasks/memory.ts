import type { Tasks } from "./task.ts";

/** Bytes of a chunk that is copied or filled. */
export const copyGrain = 262_144;
/** Elements of a chunk that is converted or moved one by one. */
export const elementGrain = 65_536;
/** Rows of a transposed matrix that make a unit of work. */
export const transposeRows = 64;

export const memoryTasks = {
  /** Over bytes. */
  copyBytes({ wasm }, [from = 0, to = 0], begin, end) {
    wasm.copyBytes(from + begin, to + begin, end - begin);
  },

  /** Over elements of 4 bytes: the number itself, or all zeros. */
  fillF32({ wasm }, [out = 0, value = 0], begin, end) {
    if (Object.is(value, 0)) wasm.fillBytes(out + begin * 4, 0, (end - begin) * 4);
    else wasm.fillF32(out + begin * 4, value, end - begin);
  },

  /** Over elements: `way` is a place in {@link conversions}. */
  convert({ wasm }, [x = 0, out = 0, way = 0], begin, end) {
    const { name, from, to } = conversions[way] ?? conversions[0];
    wasm[name](x + begin * from, out + begin * to, end - begin);
  },

  /** Over rows of the last of six axes: `[gathers, view, packed, size, shape from axis 1 on, strides in bytes]`. */
  copyRows({ wasm }, args, begin, end) {
    const [gathers = 0, view = 0, packed = 0, size = 0, n1 = 0, n2 = 0, n3 = 0, n4 = 0] = args;
    const [n5 = 0, s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0] = args.slice(8);
    wasm.copyRows(
      gathers,
      view,
      packed,
      size,
      n1,
      n2,
      n3,
      n4,
      n5,
      s0,
      s1,
      s2,
      s3,
      s4,
      s5,
      begin,
      end,
    );
  },

  /**
   * Over bands of {@link transposeRows} rows: `[x, out, size, rows, columns, xStride, outStride, matrices along an inner axis, its
   * steps on both sides, the same of an outer axis]`, strides in elements.
   */
  transpose({ wasm }, args, begin, end, scratch) {
    const [x = 0, out = 0, size = 0, rows = 0, columns = 0, xStride = 0, outStride = 0] = args;
    const [inner = 1, xInner = 0, outInner = 0, xOuter = 0, outOuter = 0] = args.slice(7);
    const bands = Math.ceil(rows / transposeRows);
    for (let unit = begin; unit < end; unit++) {
      const matrix = Math.floor(unit / bands);
      const first = (unit % bands) * transposeRows;
      const height = Math.min(transposeRows, rows - first);
      const [i, o] = [matrix % inner, Math.floor(matrix / inner)];
      const from = x + (first + i * xInner + o * xOuter) * size;
      const to = out + (first * outStride + i * outInner + o * outOuter) * size;
      if (size !== 4) wasm.transposeNarrow(from, xStride, to, outStride, height, columns, size);
      else if (columns < 16 || height < 16)
        wasm.transpose(from, xStride, to, outStride, height, columns);
      else wasm.transposeBuffered(from, xStride, to, outStride, height, columns, scratch);
    }
  },
} as const satisfies Tasks;

/** Conversions by name of their kernel, and the bytes of an element on either side. */
export const conversions = [
  { name: "widenF16Row", from: 2, to: 4 },
  { name: "widenBf16Row", from: 2, to: 4 },
  { name: "narrowF16Row", from: 4, to: 2 },
  { name: "narrowBf16Row", from: 4, to: 2 },
  { name: "floatsOfI32", from: 4, to: 4 },
  { name: "floatsOfU8", from: 1, to: 4 },
  { name: "i32OfFloats", from: 4, to: 4 },
  { name: "u8OfFloats", from: 4, to: 1 },
] as const;
