// WebGPU for tests of several packages.
import { describeWebGpu } from "@latentkit/backend-webgpu";
import { LatentkitError } from "@latentkit/core";
import type { Device } from "@latentkit/tensor";

/** Why tests on WebGPU are left out, or null: with CI=true or REQUIRE_GPU=1 a missing adapter is a failure and not a reason. */
export async function reasonToSkip(): Promise<string | null> {
  try {
    await describeWebGpu();
    return null;
  } catch (error) {
    if (!LatentkitError.isInstance(error)) throw error;
    if (process.env["CI"] === "true" || process.env["REQUIRE_GPU"] === "1") throw error;
    process.stderr.write(`skipped, ${error.code}: ${error.message}\n`);
    return `${error.code}: ${error.message}`;
  }
}

interface GpuDevice {
  readonly limits: { readonly maxBufferSize: number };
  destroy(): void;
}

/** WebGPU's own device behind one of ours, which keeps it to itself: a test takes it away. */
export function gpuBehind(device: Device): GpuDevice {
  // No public type has this member; a test that lost it would say so at once.
  return (device.backend as unknown as { readonly gpu: GpuDevice }).gpu;
}
