import { formatShape, sameShape } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import type { GatedActivation } from "../backend.ts";
import { floats, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** `silu(gate) * up`, the gated MLP of the Llama family (SwiGLU, 2002.05202). Equal shapes, f32; throws `ShapeError` else. */
export function siluMul(gate: Tensor, up: Tensor): Tensor {
  return gatedMul("siluMul", "silu", gate, up);
}

/** `gelu(gate) * up` with the exact GELU (GEGLU, 2002.05202). Equal shapes, f32; throws `ShapeError` else. */
export function geluMul(gate: Tensor, up: Tensor): Tensor {
  return gatedMul("geluMul", "gelu", gate, up);
}

/** `geluTanh(gate) * up`, the gated MLP of the Gemma family. Equal shapes, f32; throws `ShapeError` else. */
export function geluTanhMul(gate: Tensor, up: Tensor): Tensor {
  return gatedMul("geluTanhMul", "geluTanh", gate, up);
}

function gatedMul(operator: string, activation: GatedActivation, gate: Tensor, up: Tensor): Tensor {
  const [gateSlice, upSlice] = [floats(operator, gate, "gate"), floats(operator, up, "up")];
  sameDevice(operator, gate, up);
  if (!sameShape(gate.shape, up.shape)) {
    throw shapeError(
      operator,
      `gate of shape ${formatShape(gate.shape)} and up of shape ${formatShape(up.shape)}`,
      "give equal shapes",
    );
  }
  const out = gate.device.empty(gate.shape);
  const { kernels } = out.device.backend;
  if (out.size > 0) kernels.gatedMul(activation, gateSlice, upSlice, out.slice);
  return differentiable(out, {
    operator,
    inputs: [gate, up],
    saved: [gate, up],
    rule: (gradient, { saved: [g = gate, u = up], needs: [needsGate, needsUp] }) => {
      const dGate = needsGate === true ? gradient.device.empty(gradient.shape) : null;
      const dUp = needsUp === true ? gradient.device.empty(gradient.shape) : null;
      if (gradient.size > 0)
        kernels.gatedMulGradient(
          activation,
          g.slice,
          u.slice,
          gradient.slice,
          dGate?.slice ?? null,
          dUp?.slice ?? null,
        );
      return [dGate, dUp];
    },
  });
}
