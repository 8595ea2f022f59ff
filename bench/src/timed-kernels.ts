import type { Backend, Kernels } from "@latentkit/tensor";
import { clock } from "./clock.ts";

/** The parts of a training step that have floors of their own. */
export const kernelParts = [
  "matrix products",
  "selection",
  "sparse passes",
  "Adam and unit rows",
  "other kernels",
] as const;

export type KernelPart = (typeof kernelParts)[number];

/** Seconds by part. */
export type PartSeconds = Readonly<Record<KernelPart, number>>;

const optimisers: ReadonlySet<string> = new Set(["adam", "normalizeRows", "removeParallelRows"]);

function partOf(kernel: string): KernelPart {
  if (kernel === "matmul") return "matrix products";
  if (kernel.startsWith("sparsify")) return "selection";
  if (kernel.startsWith("sparse") || /^(relu|jumpRelu)/u.test(kernel)) return "sparse passes";
  return optimisers.has(kernel) ? "Adam and unit rows" : "other kernels";
}

/**
 * A backend whose kernels are timed. Only for backends that are done with a kernel when its call returns, as the CPU's is: on others the
 * times are those of issuing.
 */
export class TimedKernels {
  readonly backend: Backend;
  #seconds = noSeconds();

  constructor(backend: Backend) {
    const timed = new Proxy(backend.kernels, {
      get: (kernels, name, receiver) => {
        const kernel: unknown = Reflect.get(kernels, name, receiver);
        if (typeof kernel !== "function" || typeof name !== "string") return kernel;
        const part = partOf(name);
        return (...given: unknown[]): unknown => {
          const start = clock();
          try {
            return Reflect.apply(kernel, kernels, given);
          } finally {
            this.#seconds[part] += clock() - start;
          }
        };
      },
    }) satisfies Kernels;
    this.backend = { ...backend, kernels: timed };
  }

  /** Seconds since the last call. */
  take(): PartSeconds {
    const taken = this.#seconds;
    this.#seconds = noSeconds();
    return taken;
  }
}

function noSeconds(): Record<KernelPart, number> {
  return {
    "matrix products": 0,
    selection: 0,
    "sparse passes": 0,
    "Adam and unit rows": 0,
    "other kernels": 0,
  };
}
