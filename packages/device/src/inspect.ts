import { LatentkitError } from "@latentkit/core";
import type {
  KernelTime,
  OpenWebGpuDeviceOptions,
  WebGpuDescription,
} from "@latentkit/backend-webgpu";
import { type SelfCheck, selfCheck, type SelfCheckOptions } from "./self-check.ts";

/** What WebGPU is here: an adapter and how it did, or why there is none. */
export type WebGpuInspection =
  | {
      readonly available: true;
      readonly description: WebGpuDescription;
      readonly check: SelfCheck;
      /** Time by kernel of the self-check; null unless it was asked for. */
      readonly profile: readonly KernelTime[] | null;
    }
  | {
      readonly available: false;
      readonly code: string;
      readonly why: string;
      readonly fix: string;
      /** What was found of the adapter before it failed. */
      readonly description: WebGpuDescription | null;
    };

/** Options of {@link inspectWebGpu}. */
export interface InspectWebGpuOptions extends SelfCheckOptions {
  readonly power?: OpenWebGpuDeviceOptions["power"];
  /** Whether to time each kernel of the self-check, which slows it; false by default. */
  readonly profile?: boolean | undefined;
}

/**
 * Looks for WebGPU, opens it, checks a few operators against the reference kernels and measures its speed. What keeps it from
 * computing is part of the answer and not thrown, `WEBGPU_NO_TIMESTAMPS` for a profile that cannot be made too; `AbortedError` is thrown.
 */
export async function inspectWebGpu(options: InspectWebGpuOptions = {}): Promise<WebGpuInspection> {
  const { findWebGpuAdapter, profileWebGpu } = await import("@latentkit/backend-webgpu");
  let description: WebGpuDescription | null = null;
  try {
    const found = await findWebGpuAdapter(options.power);
    description = found.description;
    using device = await found.open();
    if (options.profile !== true)
      return {
        available: true,
        description,
        check: await selfCheck(device, options),
        profile: null,
      };
    const { result, kernels } = await profileWebGpu(device, () => selfCheck(device, options));
    return { available: true, description, check: result, profile: kernels };
  } catch (fault) {
    options.signal?.throwIfAborted();
    if (!LatentkitError.isInstance(fault)) throw fault;
    const { code, message, fix } = fault;
    return { available: false, code, why: message, fix, description };
  }
}
