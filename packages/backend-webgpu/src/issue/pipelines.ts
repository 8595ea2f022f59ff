/// <reference types="@webgpu/types" />
import type { Binding } from "./operands.ts";
import { programText, type ProgramText } from "./program.ts";

/** `GPUShaderStage.COMPUTE`, which Node has no global for. */
const compute = 4;

/** A program that is compiled in the background from the moment that it is first asked for. */
export class Program {
  readonly layout: GPUBindGroupLayout;
  readonly #compile: () => GPUComputePipeline;
  #pipeline: GPUComputePipeline | null = null;

  constructor(layout: GPUBindGroupLayout, compile: () => GPUComputePipeline) {
    this.layout = layout;
    this.#compile = compile;
  }

  /** Whether it is compiled. */
  get ready(): boolean {
    return this.#pipeline !== null;
  }

  /** The compiled program; compiled in place, which blocks, where the background has not done it yet. */
  pipeline(): GPUComputePipeline {
    return (this.#pipeline ??= this.#compile());
  }

  /** What the background has compiled, unless somebody could not wait for it. */
  finish(pipeline: GPUComputePipeline): void {
    this.#pipeline ??= pipeline;
  }
}

/** What {@link Pipelines} are made of. */
export interface PipelinesOptions {
  readonly device: GPUDevice;
  /** Called whenever a program is compiled: what waited for it may go on. */
  readonly onReady: () => void;
  /** Called when the device refuses a program, some time after it was asked for. */
  readonly onRefused: (program: string, cause: unknown) => void;
}

/** Programs by key. */
export class Pipelines {
  readonly #options: PipelinesOptions;
  readonly #programs = new Map<string, Program>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(options: PipelinesOptions) {
    this.#options = options;
  }

  /**
   * The program of `key`. The first call makes its text and begins to compile it; all others are given the same one, compiled or not.
   * Faults in the text come as uncaptured errors, and to `onRefused`.
   */
  get(key: string, binding: Binding, text: () => ProgramText): Program {
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const { device } = this.#options;
    const layout = this.#layout(binding);
    const descriptor: GPUComputePipelineDescriptor = {
      label: key,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: {
        module: device.createShaderModule({ label: key, code: programText(text()) }),
        entryPoint: "main",
      },
    };
    const made = new Program(layout, () => device.createComputePipeline(descriptor));
    this.#programs.set(key, made);
    void this.#compile(made, key, descriptor);
    return made;
  }

  async #compile(
    program: Program,
    key: string,
    descriptor: GPUComputePipelineDescriptor,
  ): Promise<void> {
    const { device, onReady, onRefused } = this.#options;
    try {
      program.finish(await device.createComputePipelineAsync(descriptor));
    } catch (cause) {
      // Made in place meanwhile: its faults, if any, came as uncaptured errors.
      if (!program.ready) onRefused(key, cause);
      return;
    }
    onReady();
  }

  #layout({ slots }: Binding): GPUBindGroupLayout {
    const types = slots.flatMap(({ writable, segments }) =>
      new Array<GPUBufferBindingType>(segments).fill(writable ? "storage" : "read-only-storage"),
    );
    const key = types.join();
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const made = this.#options.device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility: compute, buffer: { type: "uniform", hasDynamicOffset: true } },
        ...types.map((type, index) => ({
          binding: index + 1,
          visibility: compute,
          buffer: { type },
        })),
      ],
    });
    this.#layouts.set(key, made);
    return made;
  }
}
