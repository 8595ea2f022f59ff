import { bytesPerElement, type DType, sizeOf, toBf16Bits, toF16Bits } from "@latentkit/core";
import type { MemoryKernels, Slice } from "@latentkit/tensor";
import { atomic, type Operand, raw, read } from "../issue/operands.ts";
import { type Runtime, u32 } from "../runtime.ts";
import { produce } from "./produce.ts";
import { stridedWalk } from "./strided.ts";

/** Filling, converting and moving. Each kernel reads its input once and writes its output once. */
export function memoryKernels(runtime: Runtime): MemoryKernels {
  return {
    fill(out, value) {
      produce(runtime, {
        name: "fill",
        out,
        raw: true,
        parameters: { pattern: u32(patternOf(value, out.dtype)) },
        element: () => "fn element(i: u32) -> u32 { return p.pattern; }",
      });
    },

    convert(x, out) {
      const same = x.dtype === out.dtype;
      produce(runtime, {
        name: `convert:${x.dtype}:${out.dtype}`,
        out,
        raw: same || isHalf(x.dtype),
        operands: { x: same || isHalf(out.dtype) ? bitsOf(read(x)) : read(x) },
        element: () => conversion(x.dtype, out.dtype),
      });
    },

    stridedRead(x, shape, strides, out, start = 0) {
      const walk = stridedWalk(shape, { x: strides });
      produce(runtime, {
        name: `stridedRead:${walk.key}`,
        out: { ...out, length: sizeOf(shape) },
        raw: true,
        operands: { x: bitsOf(read(x)) },
        parameters: { ...walk.parameters, start: u32(start) },
        element: () =>
          `${walk.text}\nfn element(i: u32) -> u32 { return load_x(p.start + place_x(i)); }`,
      });
    },

    stridedWrite(x, shape, strides, out) {
      const count = sizeOf(shape);
      const walk = stridedWalk(shape, { out: strides });
      const perWord = 4 / bytesPerElement(out.dtype);
      runtime.issue({
        name: `stridedWrite:${walk.key}`,
        operands: {
          x: bitsOf(read(x)),
          // Neighbours in a word are written by different invocations: each clears and sets its own bits.
          out: perWord === 1 ? { slice: out, access: "write", raw: true } : atomic(out),
        },
        parameters: { ...walk.parameters, count: u32(count) },
        groups: Math.ceil(count / 256),
        body: () => `${walk.text}
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.count) { return; }
  ${perWord === 1 ? "store_out(place_out(i), load_x(i));" : packedStore(perWord)}
}`,
      });
    },
  };
}

/** Copies bytes between places that need not lie at words. */
export function moveBytes(runtime: Runtime, from: Slice, to: Slice): void {
  produce(runtime, {
    name: "moveBytes",
    out: to,
    operands: { x: read(from) },
    element: () => "fn element(i: u32) -> u32 { return load_x(i); }",
  });
}

/** The operand as bits where it has 4 bytes; the others are bits anyhow. */
export function bitsOf(operand: Operand): Operand {
  return bytesPerElement(operand.slice.dtype) === 4 ? raw(operand) : operand;
}

const isHalf = (dtype: DType): boolean => dtype === "f16" || dtype === "bf16";

function patternOf(value: number, dtype: DType): number {
  switch (dtype) {
    case "f32":
      return new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
    case "f16":
      return toF16Bits(value);
    case "bf16":
      return toBf16Bits(value);
    case "i32":
    case "u8":
      return value;
  }
}

function packedStore(perWord: number): string {
  const width = 32 / perWord;
  return `let at = p.at_out + place_out(i);
  let shift = (at % ${perWord}u) * ${width}u;
  atomicAndWord_out(at / ${perWord}u, ~(${2 ** width - 1}u << shift));
  atomicOrWord_out(at / ${perWord}u, load_x(i) << shift);`;
}

/** Integers are cut towards zero and brought into range, NaN is 0; halves go through the bits of f32. */
function conversion(from: DType, to: DType): string {
  const element = (type: string, text: string): string =>
    `fn element(i: u32) -> ${type} { ${text} }`;
  if (from === to) return element("u32", "return load_x(i);");
  const wide = from === "f16" ? "widen_f16(load_x(i))" : "load_x(i) << 16u";
  if (isHalf(from) && to === "f32") return element("u32", `return ${wide};`);
  if (isHalf(from))
    return (
      element("u32", `return ${to === "u8" ? "byte_of" : "word_of"}(bitcast<f32>(${wide}));`) +
      fitting
    );
  if (isHalf(to)) {
    const float =
      from === "f32"
        ? "load_x(i)"
        : `bitcast<u32>(f32(${from === "i32" ? "bitcast<i32>(load_x(i))" : "load_x(i)"}))`;
    return element("u32", `return narrow_${to}(${float});`);
  }
  if (to === "f32") return element("f32", "return f32(load_x(i));");
  if (from === "f32")
    return to === "u8"
      ? element("u32", "return byte_of(load_x(i));") + fitting
      : element("i32", "return bitcast<i32>(word_of(load_x(i)));") + fitting;
  return to === "u8"
    ? element("u32", "return u32(clamp(load_x(i), 0, 255));")
    : element("i32", "return i32(load_x(i));");
}

const fitting = /* wgsl */ `
fn byte_of(x: f32) -> u32 {
  if (is_nan(x)) { return 0u; }
  return u32(clamp(x, 0.0, 255.0));
}
fn word_of(x: f32) -> u32 {
  if (is_nan(x)) { return 0u; }
  if (x >= 2147483648.0) { return 0x7fffffffu; }
  if (x <= -2147483648.0) { return 0x80000000u; }
  return bitcast<u32>(i32(x));
}`;
