/// <reference types="@webgpu/types" />
import { bytesPerElement, DeviceError } from "@latentkit/core";
import type { Slice } from "@latentkit/tensor";
import type { Faults } from "../device/faults.ts";
import { moveBytes } from "../kernels/memory.ts";
import { bufferSize, GPUBufferUsageBits } from "../memory/pool.ts";
import { ownStorage } from "../memory/storage.ts";
import type { Runtime } from "../runtime.ts";
import type { Recorder } from "./recorder.ts";

/** `GPUMapMode.READ`, which Node has no global for. */
const mapRead = 1;
/** Staging buffers of each size that are kept for the next read. */
const stagingKept = 4;

/** What {@link Transfers} works with. */
export interface TransfersOptions {
  readonly device: GPUDevice;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
  readonly faults: Faults;
}

/** Bytes between host and device. */
export class Transfers {
  readonly #options: TransfersOptions;
  readonly #staging = new Map<number, GPUBuffer[]>();

  constructor(options: TransfersOptions) {
    this.#options = options;
  }

  /** Copies host bytes into a slice, behind all that was issued before. */
  write(target: Slice, bytes: Uint8Array): void {
    const { recorder, runtime, faults } = this.#options;
    faults.check();
    const storage = ownStorage(target.storage);
    const start = target.offset * bytesPerElement(target.dtype);
    const end = start + bytes.length;
    const atEnd = end === storage.byteLength;
    if (start % 4 === 0 && (bytes.length % 4 === 0 || atEnd)) {
      recorder.write(storage.buffer, start, wholeWords(bytes));
      return;
    }
    // Words at the edges belong to others as well: a kernel keeps their other bytes.
    runtime.withScratch([["u8", bytes.length + 3]], (scratch) => {
      recorder.write(ownStorage(scratch.storage).buffer, 0, wholeWords(bytes));
      const length = bytes.length;
      moveBytes(
        runtime,
        { ...scratch, length },
        { storage: target.storage, offset: start, length, dtype: "u8" },
      );
    });
  }

  /** Copies a slice to the host, after all that was issued before. */
  async read(source: Slice): Promise<Uint8Array<ArrayBuffer>> {
    const { recorder, faults } = this.#options;
    faults.check();
    const { buffer } = ownStorage(source.storage);
    const width = bytesPerElement(source.dtype);
    const start = source.offset * width;
    const byteLength = source.length * width;
    if (byteLength === 0) return new Uint8Array();
    const low = Math.floor(start / 4) * 4;
    const size = Math.ceil((start + byteLength) / 4) * 4 - low;
    const staging = this.#take(bufferSize(size));
    recorder.copy({ from: buffer, fromByte: low, to: staging, toByte: 0, byteLength: size });
    await recorder.submitted();
    faults.check();
    try {
      await staging.mapAsync(mapRead, 0, size);
    } catch (cause) {
      faults.check();
      throw new DeviceError({
        code: "DEVICE_LOST",
        message: `the WebGPU device was lost while ${byteLength} bytes were read`,
        fix: "open a new device and resume from the last checkpoint",
        cause,
      });
    }
    const bytes = new Uint8Array(staging.getMappedRange(0, size)).slice(
      start - low,
      start - low + byteLength,
    );
    staging.unmap();
    this.#give(staging);
    faults.check();
    return bytes;
  }

  #take(size: number): GPUBuffer {
    return (
      this.#staging.get(size)?.pop() ??
      this.#options.device.createBuffer({
        size,
        usage: GPUBufferUsageBits.mapRead | GPUBufferUsageBits.copyTo,
      })
    );
  }

  #give(staging: GPUBuffer): void {
    const kept = this.#staging.get(staging.size) ?? [];
    if (kept.length < stagingKept) kept.push(staging);
    else staging.destroy();
    this.#staging.set(staging.size, kept);
  }
}

/** The bytes, with up to three more so that their number is a multiple of 4. */
function wholeWords(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, length } = bytes;
  if (length % 4 === 0 && buffer instanceof ArrayBuffer)
    return new Uint8Array(buffer, byteOffset, length);
  const padded = new Uint8Array(Math.ceil(length / 4) * 4);
  padded.set(bytes);
  return padded;
}
