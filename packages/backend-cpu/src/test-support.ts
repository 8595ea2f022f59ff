import { createCpuBackend } from "./backend.ts";
import { rememberedSurvey } from "./matmul/choose.ts";
import type { Gemm } from "./matmul/provider.ts";

/** Why tests of the system BLAS are left out, or null: with CI=true a missing BLAS is a failure and not a reason. */
export async function reasonToSkipBlas(): Promise<string | null> {
  const { library, tried } = await rememberedSurvey();
  if (library !== null) return null;
  const reason = `no usable BLAS: ${tried.map(({ library: name, detail }) => `${name}: ${detail}`).join("; ")}`;
  if (process.env["CI"] === "true") return null;
  process.stderr.write(`skipped, ${reason}\n`);
  return reason;
}

/** A provider and memory for its operands. */
export interface Bench {
  readonly gemm: Gemm;
  /** Takes all operands back. */
  clear(): void;
  /** Room for `length` numbers, in place until {@link Bench.clear}. */
  reserve(length: number): { readonly address: number; readonly view: Float32Array };
}

const arenaBytes = 32 * 1024 * 1024;

/** A backend's provider of matrix products, to test without tensors. */
export async function openBench(provider: "blas" | "wasm"): Promise<Bench> {
  const { library } = provider === "blas" ? await rememberedSurvey() : { library: null };
  const { runtime } = await createCpuBackend({ library });
  const arena = runtime.heap.allocate(arenaBytes).address;
  // The memory must not grow under the views: scratch is reached once now.
  runtime.heap.withScratch(arenaBytes, () => {});
  let used = 0;
  return {
    gemm: runtime.gemm,
    clear() {
      used = 0;
    },
    reserve(length) {
      const address = arena + used;
      used += length * 4;
      return { address, view: new Float32Array(runtime.heap.buffer, address, length) };
    },
  };
}
