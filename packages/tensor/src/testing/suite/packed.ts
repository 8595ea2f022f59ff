import type { Shape } from "@latentkit/core";
import type { Device } from "../../device.ts";
import type { Tensor } from "../../tensor.ts";

/** A tensor in a golden file: its elements, little-endian, in base64, under the name of their dtype (`oracles/tensor/pack.py`). */
export interface Packed {
  readonly shape: Shape;
  readonly f32?: string;
  readonly i32?: string;
  readonly u8?: string;
}

/** The golden as a tensor of its dtype. */
export function unpack(device: Device, { shape, f32, i32, u8 }: Packed): Tensor {
  if (f32 !== undefined) return device.tensor(new Float32Array(bytesOf(f32)), shape);
  if (i32 !== undefined) return device.tensor(new Int32Array(bytesOf(i32)), shape);
  return device.tensor(new Uint8Array(bytesOf(u8 ?? "")), shape);
}

/** The elements of an f32 golden. */
export function floatsOf({ f32 = "" }: Packed): Float32Array {
  return new Float32Array(bytesOf(f32));
}

function bytesOf(base64: string): ArrayBuffer {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;
}
