import type { ElementwiseKernels } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";
import {
  elementwiseGrain,
  gatedActivations,
  unaryGradientOperators,
  unaryOperators,
} from "../tasks/elementwise.ts";
import { broadcastKernels } from "./broadcast.ts";

export function elementwiseKernels(runtime: Runtime): ElementwiseKernels {
  const { heap, wasm, team } = runtime;
  const grain = elementwiseGrain;
  return {
    ...broadcastKernels(runtime),

    unary(operator, x, out) {
      const code = unaryOperators.indexOf(operator);
      team.run("unary", [code, address(x), address(out)], { count: x.length, grain });
    },

    unaryGradient(operator, saved, dOut, dx) {
      const code = unaryGradientOperators.indexOf(operator);
      const args = [code, address(saved), address(dOut), address(dx)];
      team.run("unaryGradient", args, { count: dx.length, grain });
    },

    affine(x, factor, bias, out) {
      const args = [address(x), factor, bias, address(out)];
      team.run("affine", args, { count: x.length, grain });
    },

    clamp(x, low, high, out) {
      team.run("clamp", [address(x), low, high, address(out)], { count: x.length, grain });
    },

    clampGradient(x, low, high, dOut, dx) {
      const args = [address(x), low, high, address(dOut), address(dx)];
      team.run("clampGradient", args, { count: x.length, grain });
    },

    power(x, exponent, out) {
      team.run("power", [address(x), exponent, address(out)], { count: x.length, grain: 4096 });
    },

    gatedMul(activation, gate, up, out) {
      const code = gatedActivations.indexOf(activation);
      const args = [code, address(gate), address(up), address(out)];
      team.run("gatedMul", args, { count: gate.length, grain });
    },

    gatedMulGradient(activation, gate, up, dOut, dGate, dUp) {
      const code = gatedActivations.indexOf(activation);
      const inputs = [address(gate), address(up), address(dOut)];
      const args = [code, ...inputs, addressOrNull(dGate), addressOrNull(dUp)];
      team.run("gatedMulGradient", args, { count: gate.length, grain });
    },

    isFinite(x, out) {
      team.run("isFinite", [address(x), address(out)], { count: x.length, grain });
    },

    countNonFinite(x, out) {
      const parts = Math.ceil(x.length / grain);
      if (parts <= 1) wasm.countNonFinite(address(x), x.length, address(out));
      else
        heap.withScratch(parts * 4, (partials) => {
          const args = [address(x), x.length, partials];
          team.run("countNonFinite", args, { count: parts, grain: 1 });
          wasm.sumI32(partials, parts, address(out));
        });
    },
  };
}
