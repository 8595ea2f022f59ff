import type { PositionKernels } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { ropeGrain } from "../tasks/position.ts";

export function positionKernels({ team }: Runtime): PositionKernels {
  return {
    rope(x, cos, sin, rows, plan, out) {
      const { tokens, heads, dHead, dRotary, positions, interleaved, transposed } = plan;
      team.run(
        "rope",
        [
          address(x),
          address(cos),
          address(sin),
          address(rows),
          address(out),
          heads,
          dHead,
          dRotary,
          positions,
          Number(interleaved),
          transposed ? -1 : 1,
        ],
        { count: tokens, grain: ropeGrain / Math.max(1, heads * dHead) },
      );
    },
  };
}
