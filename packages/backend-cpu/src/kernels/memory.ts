import { bytesPerElement, DTypeError, type DType, toBf16Bits, toF16Bits } from "@latentkit/core";
import type { MemoryKernels, Slice } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { conversions, copyGrain, elementGrain, transposeRows } from "../tasks/memory.ts";
import { collapse, forEachOuter, type Loop, padTo } from "./strides.ts";

/** Axes of a copy that the kernel walks by itself. */
const innerAxes = 6;
/** Bytes of the buffer of a transposition. */
const bufferBytes = 1024;

export function memoryKernels({ heap, wasm, team }: Runtime): MemoryKernels {
  /** Copies between a strided view and contiguous memory; `gathers` says which of the two is read. */
  function copyStrided(
    view: number,
    shape: readonly number[],
    strides: readonly number[],
    packed: number,
    size: number,
    gathers: boolean,
  ): void {
    if (shape.includes(0)) return;
    const loop = collapse(shape, [strides]);
    if (transposes(loop, view, packed, size, gathers)) return;
    const padded = padTo(loop, innerAxes);
    const [n0 = 1, ...rest] = padded.shape.slice(-innerAxes);
    const steps = (padded.strides[0] ?? []).slice(-innerAxes).map((step) => step * size);
    const row = rest.at(-1) ?? 1;
    const count = [n0, ...rest].reduce((product, each) => product * each, 1);
    forEachOuter(padded, padded.shape.length - innerAxes, ([offset = 0], index) => {
      const [from, to] = [view + offset * size, packed + index * count * size];
      // One row alone is divided as well.
      if (count === row && steps.at(-1) === size) {
        const [source, target] = gathers ? [from, to] : [to, from];
        copyBytes(source, target, count * size);
        return;
      }
      team.run("copyRows", [Number(gathers), from, to, size, ...rest, ...steps], {
        count: count / row,
        grain: elementGrain / row,
      });
    });
  }

  /**
   * Does the copy if its last axis is a stride and another axis, of up to four in all, is contiguous: those two are transposed, by
   * blocks, for each index of the others.
   */
  function transposes(
    { shape, strides: [steps = []] }: Loop,
    view: number,
    packed: number,
    size: number,
    gathers: boolean,
  ): boolean {
    const last = shape.length - 1;
    const other = steps.indexOf(1);
    const [rows = 1, columns = 1, stride = 1] = [shape[other], shape[last], steps[last]];
    if (other < 0 || other === last || shape.length > 4 || rows < 4 || columns < 4 || stride < 1)
      return false;
    const packedSteps = shape.map((_, axis) =>
      shape.slice(axis + 1).reduce((product, each) => product * each, 1),
    );
    const axes = [...shape.keys()].filter((axis) => axis !== last && axis !== other);
    const [outerAxis, innerAxis] = axes.length === 2 ? axes : [undefined, axes[0]];
    const along = (axis: number | undefined): [count: number, view: number, packed: number] =>
      axis === undefined ? [1, 0, 0] : [shape[axis] ?? 1, steps[axis] ?? 0, packedSteps[axis] ?? 0];
    const [[inner, viewInner, packedInner], [outer, viewOuter, packedOuter]] = [
      along(innerAxis),
      along(outerAxis),
    ];
    const packedStride = packedSteps[other] ?? 1;
    // Read: packed[r, c] = view[c, r]. Written: view[c, r] = packed[r, c], with rows and columns exchanged.
    const [height, args] = gathers
      ? [
          rows,
          [
            view,
            packed,
            size,
            rows,
            columns,
            stride,
            packedStride,
            inner,
            viewInner,
            packedInner,
          ].concat(viewOuter, packedOuter),
        ]
      : [
          columns,
          [
            packed,
            view,
            size,
            columns,
            rows,
            packedStride,
            stride,
            inner,
            packedInner,
            viewInner,
          ].concat(packedOuter, viewOuter),
        ];
    const bands = Math.ceil(height / transposeRows);
    const band = (rows * columns) / bands;
    team.run("transpose", args, {
      count: inner * outer * bands,
      grain: elementGrain / band,
      scratchBytes: bufferBytes,
    });
    return true;
  }

  function copyBytes(from: number, to: number, bytes: number): void {
    if (bytes <= copyGrain) wasm.copyBytes(from, to, bytes);
    else team.run("copyBytes", [from, to], { count: bytes, grain: copyGrain });
  }

  return {
    fill(out, value) {
      const at = address(out);
      if (out.dtype === "f32")
        team.run("fillF32", [at, value], { count: out.length, grain: copyGrain / 4 });
      else if (out.dtype === "i32") new Int32Array(heap.buffer, at, out.length).fill(value);
      else if (out.dtype === "u8") new Uint8Array(heap.buffer, at, out.length).fill(value);
      else
        new Uint16Array(heap.buffer, at, out.length).fill(
          out.dtype === "f16" ? toF16Bits(value) : toBf16Bits(value),
        );
    },

    convert(x, out) {
      const [from, to] = [address(x), address(out)];
      if (x.dtype === out.dtype) {
        copyBytes(from, to, x.length * bytesPerElement(x.dtype));
        return;
      }
      const way = conversionOf(x, out);
      team.run("convert", [from, to, way], { count: x.length, grain: elementGrain });
    },

    stridedRead(x, shape, strides, out, start = 0) {
      const size = bytesPerElement(x.dtype);
      copyStrided(address(x) + start * size, shape, strides, address(out), size, true);
    },

    stridedWrite(x, shape, strides, out) {
      const size = bytesPerElement(x.dtype);
      copyStrided(address(out), shape, strides, address(x), size, false);
    },
  };
}

const kernelsByDType: Readonly<Record<string, (typeof conversions)[number]["name"]>> = {
  "f16 f32": "widenF16Row",
  "bf16 f32": "widenBf16Row",
  "f32 f16": "narrowF16Row",
  "f32 bf16": "narrowBf16Row",
  "i32 f32": "floatsOfI32",
  "u8 f32": "floatsOfU8",
  "f32 i32": "i32OfFloats",
  "f32 u8": "u8OfFloats",
};

/** The place of a conversion in the tasks' table. */
function conversionOf(x: Slice, out: Slice): number {
  const name = kernelsByDType[`${x.dtype} ${out.dtype}` satisfies `${DType} ${DType}`];
  const way = conversions.findIndex((each) => each.name === name);
  if (way >= 0) return way;
  throw new DTypeError({
    code: "DTYPE_CONVERSION",
    message: `the CPU device does not convert ${x.dtype} to ${out.dtype}`,
    fix: "convert by way of f32, or on the host",
  });
}
