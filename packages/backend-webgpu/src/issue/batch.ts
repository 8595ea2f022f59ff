/// <reference types="@webgpu/types" />
import type { Profiler } from "../profile/profiler.ts";
import type { BindGroups } from "./bind-groups.ts";
import type { Program } from "./pipelines.ts";

/** One dispatch, ready to be recorded. */
export interface Dispatch {
  /** Of the kernel, and the bytes of all ranges that it binds; for profiles. */
  readonly name: string;
  readonly bytes: number;
  readonly program: Program;
  /** Bindings 1, 2 and so on; 0 holds the parameters. */
  readonly bindings: readonly GPUBufferBinding[];
  /** Parameters as 32-bit words. */
  readonly words: Uint32Array;
  readonly workgroups: readonly [x: number, y: number];
}

/** A copy between buffers; offsets and size are multiples of 4 bytes. */
export interface Copy {
  readonly from: GPUBuffer;
  readonly fromByte: number;
  readonly to: GPUBuffer;
  readonly toByte: number;
  readonly byteLength: number;
}

/** A command of a batch: a dispatch, with where its parameters begin in the batch's, or a copy. */
export type Step = { readonly dispatch: Dispatch; readonly at: number } | { readonly copy: Copy };

/** What {@link encodeBatch} works with. */
export interface EncodeBatchOptions {
  readonly device: GPUDevice;
  readonly profiler: Profiler;
  readonly groups: BindGroups;
}

/** Encodes the steps in order, and submits them. Dispatches share a pass but where each is timed, or a copy comes between. */
export function submitBatch(
  steps: readonly Step[],
  { device, profiler, groups }: EncodeBatchOptions,
): void {
  const encoder = device.createCommandEncoder();
  let pass: GPUComputePassEncoder | null = null;
  const endPass = (): void => {
    pass?.end();
    pass = null;
  };
  for (const step of steps) {
    if ("copy" in step) {
      endPass();
      const { from, fromByte, to, toByte, byteLength } = step.copy;
      encoder.copyBufferToBuffer(from, fromByte, to, toByte, byteLength);
      continue;
    }
    const { name, bytes, program, bindings, words, workgroups } = step.dispatch;
    const timestampWrites = profiler.time(name, bytes);
    if (timestampWrites !== undefined) endPass();
    pass ??= encoder.beginComputePass(timestampWrites === undefined ? {} : { timestampWrites });
    pass.setPipeline(program.pipeline());
    pass.setBindGroup(0, groups.get(program.layout, bindings, words.byteLength), [step.at]);
    pass.dispatchWorkgroups(workgroups[0], workgroups[1]);
    // The device's clock is read where passes begin and end.
    if (timestampWrites !== undefined) endPass();
  }
  endPass();
  const readTimes = profiler.resolve(encoder);
  device.queue.submit([encoder.finish()]);
  readTimes?.();
}
