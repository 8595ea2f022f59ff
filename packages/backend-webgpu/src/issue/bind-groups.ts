/// <reference types="@webgpu/types" />

/** Bind groups that are kept at most; they hold buffers that the pool holds as well. */
const kept = 4096;

/** The same dispatches come again in every step, with buffers that the pool lends again: their bind groups are kept. */
export class BindGroups {
  readonly #device: GPUDevice;
  readonly #parameters: GPUBuffer;
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #numbers = new WeakMap<GPUBindGroupLayout | GPUBuffer, number>();
  #nextNumber = 0;

  /** `parameters` is bound as 0, with a dynamic offset. */
  constructor(device: GPUDevice, parameters: GPUBuffer) {
    this.#device = device;
    this.#parameters = parameters;
  }

  /** The group of `byteLength` bytes of parameters, and of these bindings from 1 on. */
  get(
    layout: GPUBindGroupLayout,
    bindings: readonly GPUBufferBinding[],
    byteLength: number,
  ): GPUBindGroup {
    let key = `${this.#numberOf(layout)}:${byteLength}`;
    for (const { buffer, offset, size } of bindings)
      key += `:${this.#numberOf(buffer)},${offset},${size}`;
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    if (this.#groups.size >= kept) this.#groups.clear();
    const made = this.#device.createBindGroup({
      layout,
      entries: [
        { binding: 0, resource: { buffer: this.#parameters, size: byteLength } },
        ...bindings.map((resource, index) => ({ binding: index + 1, resource })),
      ],
    });
    this.#groups.set(key, made);
    return made;
  }

  /** Forgets all: buffers are about to be destroyed. */
  clear(): void {
    this.#groups.clear();
  }

  #numberOf(object: GPUBindGroupLayout | GPUBuffer): number {
    const known = this.#numbers.get(object);
    if (known !== undefined) return known;
    this.#numbers.set(object, this.#nextNumber);
    return this.#nextNumber++;
  }
}
