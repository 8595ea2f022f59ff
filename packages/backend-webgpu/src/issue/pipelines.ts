/// <reference types="@webgpu/types" />
import type { Binding } from "./operands.ts";
import { programText, type ProgramText } from "./program.ts";

/** A compiled program and how it is bound. */
export interface Compiled {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** `GPUShaderStage.COMPUTE`, which Node has no global for. */
const compute = 4;

/** Compiled programs by key. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #compiled = new Map<string, Compiled>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The program of `key`, made from `text` if it is not there yet. Faults in the text come as uncaptured errors. */
  get(key: string, binding: Binding, text: () => ProgramText): Compiled {
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const layout = this.#layout(binding);
    const device = this.#device;
    const made: Compiled = {
      layout,
      pipeline: device.createComputePipeline({
        label: key,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: {
          module: device.createShaderModule({ label: key, code: programText(text()) }),
          entryPoint: "main",
        },
      }),
    };
    this.#compiled.set(key, made);
    return made;
  }

  #layout({ slots }: Binding): GPUBindGroupLayout {
    const types = slots.flatMap(({ writable, segments }) =>
      new Array<GPUBufferBindingType>(segments).fill(writable ? "storage" : "read-only-storage"),
    );
    const key = types.join();
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const made = this.#device.createBindGroupLayout({
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
