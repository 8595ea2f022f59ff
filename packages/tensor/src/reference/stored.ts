import { decodeStored, DeviceError, storedBlock } from "@latentkit/core";
import type { Slice, Storage, StoredKernels, WeightMatrix } from "../backend.ts";
import { f32, i32 } from "./storage.ts";

/** Bytes of weights as the reference backend holds them. */
export class ReferenceWeights implements Storage {
  readonly byteLength: number;
  #bytes: Uint8Array<ArrayBuffer> | null;

  constructor(byteLength: number) {
    this.byteLength = byteLength;
    this.#bytes = new Uint8Array(byteLength).fill(0xff);
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes !== null) return this.#bytes;
    throw new DeviceError({
      code: "STORAGE_FREED",
      message: `a storage of ${this.byteLength} bytes was used after it was freed`,
      fix: "this is a fault in Latentkit: report it",
    });
  }

  free(): void {
    this.#bytes = null;
  }
}

/** The storage as the reference backend made it; throws `DeviceError` for another backend's. */
export function ownWeights(storage: Storage): ReferenceWeights {
  if (storage instanceof ReferenceWeights) return storage;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: "the reference backend was given another backend's storage",
    fix: "use tensors of one device together",
  });
}

/** Row `row` of a matrix, rounded to f32 as its format says. */
function decodeRow(weight: WeightMatrix, row: number): Float32Array {
  const block = storedBlock(weight.format);
  const rowBytes = (weight.columns / block.elements) * block.bytes;
  const start = weight.byteOffset + row * rowBytes;
  const out = new Float32Array(weight.columns);
  const { bytes } = ownWeights(weight.storage);
  decodeStored(bytes.subarray(start, start + rowBytes), weight.format, out);
  return out;
}

/** Rounds a row to 16 bits, each 32 neighbours on their own scale; formats of plain numbers take it as it is. */
function roundActivations(x: Float64Array, weight: WeightMatrix): Float64Array {
  const plain = storedBlock(weight.format).elements === 1;
  if (weight.activations === "f32" || plain) return x;
  return x.map((value, index) => {
    const start = index - (index % 32);
    const largest = x
      .subarray(start, start + 32)
      .reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    return largest === 0 ? 0 : (Math.round((value / largest) * 32_767) * largest) / 32_767;
  });
}

function dot(x: Float64Array, row: Float32Array): number {
  return x.reduce((sum, value, index) => sum + value * (row[index] ?? Number.NaN), 0);
}

export const storedKernels: StoredKernels = {
  linearStored(x, rows, weight, bias, out) {
    const [input, target] = [f32(x), f32(out)];
    const offsets = bias === null ? null : f32(bias);
    const { columns } = weight;
    const inputs = Array.from({ length: rows }, (_, row) =>
      roundActivations(
        Float64Array.from(input.subarray(row * columns, (row + 1) * columns)),
        weight,
      ),
    );
    for (let column = 0; column < weight.rows; column++) {
      const decoded = decodeRow(weight, column);
      for (const [row, values] of inputs.entries())
        target[row * weight.rows + column] = dot(values, decoded) + (offsets?.[column] ?? 0);
    }
  },

  linearStoredInputGradient(dOut, rows, weight, dx) {
    const [gradient, target] = [f32(dOut), f32(dx)];
    const { columns } = weight;
    const sums = new Float64Array(rows * columns);
    for (let column = 0; column < weight.rows; column++) {
      const decoded = decodeRow(weight, column);
      for (let row = 0; row < rows; row++) {
        const factor = gradient[row * weight.rows + column] ?? Number.NaN;
        for (const [place, value] of decoded.entries())
          sums[row * columns + place] = (sums[row * columns + place] ?? 0) + factor * value;
      }
    }
    target.set(sums);
  },

  dequantizeRows(weight, firstRow, rows, out) {
    const target = f32(out);
    for (let row = 0; row < rows; row++)
      target.set(decodeRow(weight, firstRow + row), row * weight.columns);
  },

  embeddingStored(weight, ids, rows, out) {
    copyRows(weight, i32(ids), rows, out);
  },
};

function copyRows(weight: WeightMatrix, ids: Int32Array, rows: number, out: Slice): void {
  const target = f32(out);
  const { columns } = weight;
  for (let row = 0; row < rows; row++) {
    const id = ids[row] ?? -1;
    if (id >= 0 && id < weight.rows) target.set(decodeRow(weight, id), row * columns);
    else target.fill(Number.NaN, row * columns, (row + 1) * columns);
  }
}
