import { bytesPerElement, DTypeError, toBf16Bits, toF16Bits } from "@latentkit/core";
import type { Kernels, Slice } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { collapse, forEachOuter, padTo } from "./strides.ts";

type MemoryKernels = Pick<Kernels, "fill" | "convert" | "stridedRead" | "stridedWrite">;

export function memoryKernels({ heap, wasm }: Runtime): MemoryKernels {
  /** Copies between a strided view and contiguous memory; `gathers` says which of the two is read. */
  function copyStrided(
    view: Slice,
    shape: readonly number[],
    strides: readonly number[],
    contiguous: Slice,
    gathers: boolean,
  ): void {
    if (shape.includes(0)) return;
    const size = bytesPerElement(view.dtype);
    const loop = padTo(collapse(shape, [strides]), 4);
    const [n0 = 1, n1 = 1, n2 = 1, n3 = 1] = loop.shape.slice(-4);
    const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = (loop.strides[0] ?? []).slice(-4);
    const inner = n0 * n1 * n2 * n3;
    const [viewAt, contiguousAt] = [address(view), address(contiguous)];
    forEachOuter(loop, loop.shape.length - 4, ([offset = 0], index) => {
      const strided = viewAt + offset * size;
      const packed = contiguousAt + index * inner * size;
      if (size === 4 && s2 === 1 && s3 !== 1 && n2 > 1) {
        for (let i = 0; i < n0; i++) {
          for (let j = 0; j < n1; j++) {
            const from = strided + (i * s0 + j * s1) * 4;
            const to = packed + (i * n1 + j) * n2 * n3 * 4;
            if (gathers) wasm.transpose(from, s3, to, n3, n2, n3);
            else wasm.transpose(to, n3, from, s3, n3, n2);
          }
        }
      } else if (gathers)
        wasm.gather(
          strided,
          packed,
          size,
          n0,
          n1,
          n2,
          n3,
          s0 * size,
          s1 * size,
          s2 * size,
          s3 * size,
        );
      else
        wasm.scatter(
          packed,
          strided,
          size,
          n0,
          n1,
          n2,
          n3,
          s0 * size,
          s1 * size,
          s2 * size,
          s3 * size,
        );
    });
  }

  return {
    fill(out, value) {
      const at = address(out);
      if (out.dtype === "f32") {
        if (value === 0 && !Object.is(value, -0)) wasm.fillBytes(at, 0, out.length * 4);
        else wasm.fillF32(at, value, out.length);
      } else if (out.dtype === "i32") new Int32Array(heap.buffer, at, out.length).fill(value);
      else if (out.dtype === "u8") new Uint8Array(heap.buffer, at, out.length).fill(value);
      else
        new Uint16Array(heap.buffer, at, out.length).fill(
          out.dtype === "f16" ? toF16Bits(value) : toBf16Bits(value),
        );
    },

    convert(x, out) {
      const [from, to] = [address(x), address(out)];
      if (x.dtype === out.dtype) wasm.copyBytes(from, to, x.length * bytesPerElement(x.dtype));
      else if (x.dtype === "f16" && out.dtype === "f32") wasm.widenF16Row(from, to, x.length);
      else if (x.dtype === "bf16" && out.dtype === "f32") wasm.widenBf16Row(from, to, x.length);
      else if (x.dtype === "f32" && out.dtype === "f16") wasm.narrowF16Row(from, to, x.length);
      else if (x.dtype === "f32" && out.dtype === "bf16") wasm.narrowBf16Row(from, to, x.length);
      else {
        throw new DTypeError({
          code: "DTYPE_CONVERSION",
          message: `the CPU device does not convert ${x.dtype} to ${out.dtype}`,
          fix: "convert by way of f32, or on the host",
        });
      }
    },

    stridedRead: (x, shape, strides, out) => copyStrided(x, shape, strides, out, true),
    stridedWrite: (x, shape, strides, out) => copyStrided(out, shape, strides, x, false),
  };
}
