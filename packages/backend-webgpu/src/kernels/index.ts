import type { Kernels } from "@latentkit/tensor";
import type { Runtime } from "../runtime.ts";
import { attentionKernels } from "./attention.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { indexingKernels } from "./indexing.ts";
import { matmulKernels } from "./matmul.ts";
import { memoryKernels } from "./memory.ts";
import { normaliseKernels } from "./normalise.ts";
import { optimiseKernels } from "./optimise.ts";
import { positionKernels } from "./position.ts";
import { randomKernels } from "./random.ts";
import { reduceKernels } from "./reduce.ts";
import { sortKernels } from "./sort.ts";
import { sparseGradientKernels } from "./sparse-gradients.ts";
import { sparseEncodeKernels, sparseEntryKernels } from "./sparse.ts";
import { storedKernels } from "./stored.ts";

/** All kernels over one runtime. */
export function kernelsOf(runtime: Runtime): Kernels {
  return {
    ...memoryKernels(runtime),
    ...elementwiseKernels(runtime),
    ...reduceKernels(runtime),
    ...matmulKernels(runtime),
    ...normaliseKernels(runtime),
    ...indexingKernels(runtime),
    ...positionKernels(runtime),
    ...optimiseKernels(runtime),
    ...randomKernels(runtime),
    ...sortKernels(runtime),
    ...attentionKernels(runtime),
    ...sparseEncodeKernels(runtime),
    ...sparseEntryKernels(runtime),
    ...sparseGradientKernels(runtime),
    ...storedKernels(runtime),
  };
}
