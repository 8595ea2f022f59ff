/// <reference types="@webgpu/types" />
import { GPUBufferUsageBits } from "../memory/pool.ts";
import type { Profiler } from "../profile/profiler.ts";

/** Commands go to the device after this many dispatches at the latest, so that it has work while the host records. */
const dispatchesPerBatch = 256;
/** Parameters of all dispatches of a batch: each begins at a multiple of the device's alignment. */
const arenaBytes = 256 * 1024;

/** Bind groups that are kept at most; they hold buffers that the pool holds as well. */
const bindGroupsKept = 4096;

/** One dispatch, ready to be recorded. */
export interface Dispatch {
  /** Of the kernel, and the bytes of all ranges that it binds; for profiles. */
  readonly name: string;
  readonly bytes: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Bindings 1, 2 and so on; 0 holds the parameters. */
  readonly bindings: readonly GPUBufferBinding[];
  /** Parameters as 32-bit words. */
  readonly words: Uint32Array;
  readonly workgroups: readonly [x: number, y: number];
}

/**
 * Records commands into one encoder, and submits them in batches: when somebody waits for a result, when the host is about to
 * write a buffer that recorded commands use, or when the batch is full.
 */
export class Recorder {
  readonly #device: GPUDevice;
  readonly #profiler: Profiler;
  readonly #arena: GPUBuffer;
  readonly #host: Uint32Array<ArrayBuffer> = new Uint32Array(arenaBytes / 4);
  readonly #alignment: number;
  readonly #used = new Set<GPUBuffer>();
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #numbers = new WeakMap<GPUBindGroupLayout | GPUBuffer, number>();
  #nextNumber = 0;
  #arenaEnd = 0;
  #dispatches = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;

  constructor(device: GPUDevice, profiler: Profiler) {
    this.#device = device;
    this.#profiler = profiler;
    this.#alignment = device.limits.minUniformBufferOffsetAlignment;
    this.#arena = device.createBuffer({
      size: arenaBytes,
      usage: GPUBufferUsageBits.uniform | GPUBufferUsageBits.copyTo,
    });
  }

  /** Records a dispatch behind all others. */
  dispatch({ name, bytes, pipeline, layout, bindings, words, workgroups }: Dispatch): void {
    const byteLength = words.byteLength;
    if (this.#arenaEnd + byteLength > arenaBytes || this.#dispatches >= dispatchesPerBatch)
      this.flush();
    const at = this.#arenaEnd;
    this.#host.set(words, at / 4);
    this.#arenaEnd = Math.ceil((at + byteLength) / this.#alignment) * this.#alignment;
    this.#dispatches++;
    for (const { buffer } of bindings) this.#used.add(buffer);
    const timestampWrites = this.#profiler.time(name, bytes);
    if (timestampWrites !== undefined) this.#endPass();
    const pass = this.#computePass(timestampWrites);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.#bindGroup(layout, bindings, byteLength), [at]);
    pass.dispatchWorkgroups(workgroups[0], workgroups[1]);
    // The device's clock is read where passes begin and end.
    if (timestampWrites !== undefined) this.#endPass();
  }

  /** Forgets bind groups: buffers are about to be destroyed. */
  forget(): void {
    this.#groups.clear();
  }

  /** Records a copy; offsets and size are multiples of 4 bytes. */
  copy(from: GPUBuffer, fromByte: number, to: GPUBuffer, toByte: number, byteLength: number): void {
    this.#endPass();
    this.#commands().copyBufferToBuffer(from, fromByte, to, toByte, byteLength);
    this.#used.add(from).add(to);
  }

  /** Writes host bytes now, after whatever was recorded; offset and size are multiples of 4 bytes. */
  write(buffer: GPUBuffer, byteOffset: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#used.has(buffer)) this.flush();
    this.#device.queue.writeBuffer(buffer, byteOffset, bytes);
  }

  /** Submits what was recorded. */
  flush(): void {
    const encoder = this.#encoder;
    if (encoder === null) return;
    this.#endPass();
    this.#encoder = null;
    const readTimes = this.#profiler.resolve(encoder);
    if (this.#arenaEnd > 0)
      this.#device.queue.writeBuffer(
        this.#arena,
        0,
        this.#host,
        0,
        Math.min(this.#arenaEnd / 4, arenaBytes / 4),
      );
    this.#device.queue.submit([encoder.finish()]);
    readTimes?.();
    this.#arenaEnd = 0;
    this.#dispatches = 0;
    this.#used.clear();
  }

  /** The same dispatches come again in every step, with buffers that the pool lends again: their bind groups are kept. */
  #bindGroup(
    layout: GPUBindGroupLayout,
    bindings: readonly GPUBufferBinding[],
    byteLength: number,
  ): GPUBindGroup {
    let key = `${this.#numberOf(layout)}:${byteLength}`;
    for (const { buffer, offset, size } of bindings)
      key += `:${this.#numberOf(buffer)},${offset},${size}`;
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    if (this.#groups.size >= bindGroupsKept) this.#groups.clear();
    const made = this.#device.createBindGroup({
      layout,
      entries: [
        { binding: 0, resource: { buffer: this.#arena, size: byteLength } },
        ...bindings.map((resource, index) => ({ binding: index + 1, resource })),
      ],
    });
    this.#groups.set(key, made);
    return made;
  }

  #numberOf(object: GPUBindGroupLayout | GPUBuffer): number {
    const known = this.#numbers.get(object);
    if (known !== undefined) return known;
    this.#numbers.set(object, this.#nextNumber);
    return this.#nextNumber++;
  }

  #commands(): GPUCommandEncoder {
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  #computePass(timestampWrites: GPUComputePassTimestampWrites | undefined): GPUComputePassEncoder {
    this.#pass ??= this.#commands().beginComputePass(
      timestampWrites === undefined ? {} : { timestampWrites },
    );
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
  }
}
