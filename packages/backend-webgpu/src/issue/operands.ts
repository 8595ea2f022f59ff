/// <reference types="@webgpu/types" />
import { bytesPerElement, DeviceError, type DType } from "@latentkit/core";
import type { Slice } from "@latentkit/tensor";
import { ownStorage } from "../memory/storage.ts";

/** What a kernel does with an operand; `"atomic"` adds to it from many invocations at once. */
export type Access = "atomic" | "read" | "write";

/** A slice that a kernel reads or writes. */
export interface Operand {
  readonly slice: Slice;
  readonly access: Access;
  /** Elements are moved as bits, whatever they mean; of 4 bytes only. */
  readonly raw: boolean;
}

/** An operand that is only read. */
export const read = (slice: Slice): Operand => ({ slice, access: "read", raw: false });
/** An operand that is written, and may be read as well. */
export const write = (slice: Slice): Operand => ({ slice, access: "write", raw: false });
/** An operand of atomic words. */
export const atomic = (slice: Slice): Operand => ({ slice, access: "atomic", raw: true });
/** The same operand, as bits. */
export const raw = (operand: Operand): Operand => ({ ...operand, raw: true });

/** How a binding's memory is declared in WGSL. */
export type SlotType = "atomic<u32>" | "f32" | "i32" | "u32";

/** A range of one buffer, bound once for all operands that lie in it, in one or more segments. */
export interface Slot {
  readonly type: SlotType;
  readonly writable: boolean;
  readonly segments: number;
}

/** An operand's place in a slot. */
export interface Placed {
  readonly name: string;
  readonly dtype: DType;
  readonly access: Access;
  readonly raw: boolean;
  readonly slot: number;
}

/** What a dispatch binds, and what a program's text depends on. */
export interface Binding {
  readonly slots: readonly Slot[];
  readonly placed: readonly Placed[];
  /** 32-bit words of one segment. */
  readonly segmentWords: number;
  /** The bound ranges, segment by segment. */
  readonly ranges: readonly GPUBufferBinding[];
  /** First element of each operand, counted from its slot's start. */
  readonly starts: readonly number[];
}

/** What operands can be bound with. */
export interface BindingLimits {
  readonly alignment: number;
  readonly bindingBytes: number;
  readonly storageBuffers: number;
}

interface Range {
  readonly buffer: GPUBuffer;
  low: number;
  high: number;
  writable: boolean;
  atomic: boolean;
  type: SlotType | null;
}

/**
 * Lays operands out: WebGPU forbids to bind a buffer twice where one binding writes, so operands of one buffer share a binding.
 * Ranges begin at the device's alignment; one that is longer than a binding may be is bound in segments.
 *
 * Throws {@link DeviceError} `WEBGPU_BINDINGS` where the device has too few bindings for that.
 */
export function bindOperands(
  operands: Readonly<Record<string, Operand | null>>,
  limits: BindingLimits,
): Binding {
  const ranges: Range[] = [];
  const placed: (Placed & { readonly start: number })[] = [];
  for (const [name, operand] of Object.entries(operands)) {
    if (operand === null) continue;
    const { slice, access, raw: bits } = operand;
    const { buffer } = ownStorage(slice.storage);
    const width = bytesPerElement(slice.dtype);
    const start = slice.offset * width;
    const end = start + slice.length * width;
    const type = slotType(slice.dtype, bits);
    let slot = ranges.findIndex((range) => range.buffer === buffer);
    if (slot < 0) {
      slot = ranges.length;
      ranges.push({ buffer, low: start, high: end, writable: false, atomic: false, type });
    }
    const range = ranges[slot];
    if (range === undefined) continue;
    range.low = Math.min(range.low, start);
    range.high = Math.max(range.high, end);
    range.writable ||= access !== "read";
    range.atomic ||= access === "atomic";
    if (range.type !== type) range.type = null;
    placed.push({ name, dtype: slice.dtype, access, raw: bits, slot, start });
  }
  const segmentBytes = Math.floor(limits.bindingBytes / limits.alignment) * limits.alignment;
  const bound: GPUBufferBinding[] = [];
  const slots = ranges.map((range): Slot => {
    const last = range.buffer.size - 4;
    range.low = Math.floor(Math.min(range.low, last) / limits.alignment) * limits.alignment;
    range.high = Math.max(Math.ceil(range.high / 4) * 4, range.low + 4);
    let segments = 0;
    for (let low = range.low; low < range.high; low += segmentBytes, segments++)
      bound.push({
        buffer: range.buffer,
        offset: low,
        size: Math.min(segmentBytes, range.high - low),
      });
    const type = range.atomic ? "atomic<u32>" : (range.type ?? "u32");
    return { type, writable: range.writable, segments };
  });
  if (bound.length > limits.storageBuffers)
    throw new DeviceError({
      code: "WEBGPU_BINDINGS",
      message: `a kernel needs ${bound.length} bindings of up to ${limits.bindingBytes} bytes for its tensors, and this device has ${limits.storageBuffers}`,
      fix: "split the largest tensor, for example a batch or a vocabulary, or use a device with larger bindings",
    });
  const starts = placed.map(
    ({ start, dtype, slot }) => (start - (ranges[slot]?.low ?? 0)) / bytesPerElement(dtype),
  );
  return { slots, placed, segmentWords: segmentBytes / 4, ranges: bound, starts };
}

function slotType(dtype: DType, bits: boolean): SlotType {
  return bits || (dtype !== "f32" && dtype !== "i32") ? "u32" : dtype;
}

/** All of a program's text that depends on how operands are bound. */
export function bindingKey({ slots, placed, segmentWords }: Binding): string {
  const operands = placed.map(
    ({ name, dtype, access, raw: bits, slot }) =>
      `${name}:${dtype}:${access}:${bits ? "bits" : ""}@${slot}`,
  );
  const split = slots.some(({ segments }) => segments > 1) ? segmentWords : 0;
  return `${operands.join()}|${slots.map(({ type, writable, segments }) => `${type}${writable ? "!" : ""}${segments}`).join()}|${split}`;
}
