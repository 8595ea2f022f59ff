/// <reference types="@webgpu/types" />
import { GPUBufferUsageBits } from "../memory/pool.ts";
import type { Profiler } from "../profile/profiler.ts";
import { type Copy, type Dispatch, type Step, submitBatch } from "./batch.ts";
import { BindGroups } from "./bind-groups.ts";
import type { Program } from "./pipelines.ts";
import { WaitingQueue } from "./queue.ts";

/** Commands go to the device after this many dispatches at the latest, so that it has work while the host records. */
const dispatchesPerBatch = 256;
/** Parameters of all dispatches of a batch: each begins at a multiple of the device's alignment. */
const arenaBytes = 256 * 1024;

/**
 * Records commands and submits them in batches: when somebody waits for a result, when the host is about to write a buffer that
 * recorded commands use, or when the batch is full. A batch whose programs are still being compiled waits, and whatever is to
 * happen after it waits behind it, host writes included; nobody who issues does.
 */
export class Recorder {
  readonly #device: GPUDevice;
  readonly #profiler: Profiler;
  readonly #groups: BindGroups;
  readonly #queue = new WaitingQueue<GPUBuffer>();
  readonly #arena: GPUBuffer;
  readonly #host: Uint32Array<ArrayBuffer> = new Uint32Array(arenaBytes / 4);
  readonly #alignment: number;
  // Of the batch that is being recorded.
  #steps: Step[] = [];
  #used = new Set<GPUBuffer>();
  #programs = new Set<Program>();
  #dispatches = 0;
  #arenaEnd = 0;

  constructor(device: GPUDevice, profiler: Profiler) {
    this.#device = device;
    this.#profiler = profiler;
    this.#alignment = device.limits.minUniformBufferOffsetAlignment;
    this.#arena = device.createBuffer({
      size: arenaBytes,
      usage: GPUBufferUsageBits.uniform | GPUBufferUsageBits.copyTo,
    });
    this.#groups = new BindGroups(device, this.#arena);
  }

  /** Records a dispatch behind all others. */
  dispatch(dispatch: Dispatch): void {
    const { words, bindings, program } = dispatch;
    if (this.#arenaEnd + words.byteLength > arenaBytes || this.#dispatches >= dispatchesPerBatch)
      this.flush();
    const at = this.#arenaEnd;
    this.#host.set(words, at / 4);
    this.#arenaEnd = Math.ceil((at + words.byteLength) / this.#alignment) * this.#alignment;
    this.#dispatches++;
    this.#programs.add(program);
    for (const { buffer } of bindings) this.#used.add(buffer);
    this.#steps.push({ dispatch, at });
  }

  /** Records a copy. */
  copy(copy: Copy): void {
    this.#steps.push({ copy });
    this.#used.add(copy.from).add(copy.to);
  }

  /** Writes host bytes, which may change afterwards, behind all that was recorded; offset and size are multiples of 4 bytes. */
  write(buffer: GPUBuffer, byteOffset: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#used.has(buffer)) this.flush();
    if (!this.#queue.uses(buffer)) {
      this.#device.queue.writeBuffer(buffer, byteOffset, bytes);
      return;
    }
    const kept = bytes.slice();
    this.#queue.push({
      programs: [],
      buffers: [buffer],
      dispatches: 0,
      bytes: kept.length,
      run: () => this.#device.queue.writeBuffer(buffer, byteOffset, kept),
    });
  }

  /** Destroys buffers behind all that was recorded. */
  destroy(buffers: readonly GPUBuffer[]): void {
    this.flush();
    this.#queue.push({
      programs: [],
      buffers: [],
      dispatches: 0,
      bytes: 0,
      run: () => {
        this.#groups.clear();
        for (const buffer of buffers) buffer.destroy();
      },
    });
  }

  /** Submits what was recorded, as soon as its programs are compiled. */
  flush(): void {
    const steps = this.#steps;
    if (steps.length === 0) return;
    const words = this.#host.slice(0, Math.min(this.#arenaEnd, arenaBytes) / 4);
    this.#queue.push({
      programs: this.#programs,
      buffers: this.#used,
      dispatches: this.#dispatches,
      bytes: words.byteLength,
      run: () => {
        if (words.length > 0) this.#device.queue.writeBuffer(this.#arena, 0, words);
        submitBatch(steps, {
          device: this.#device,
          profiler: this.#profiler,
          groups: this.#groups,
        });
      },
    });
    this.#steps = [];
    this.#used = new Set();
    this.#programs = new Set();
    this.#dispatches = 0;
    this.#arenaEnd = 0;
  }

  /** Submits what was recorded, and resolves when it is submitted, or never will be: ask the device's faults. */
  async submitted(): Promise<void> {
    this.flush();
    await this.#queue.settled();
  }

  /** A program was compiled: submits what waited for it. */
  advance(): void {
    this.#queue.advance();
  }

  /** Drops what waits, and submits nothing any more. */
  close(): void {
    this.#steps = [];
    this.#used = new Set();
    this.#programs = new Set();
    this.#queue.close();
  }
}
