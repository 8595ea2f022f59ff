import {
  type Activation,
  gelu,
  geluMul,
  geluTanh,
  geluTanhMul,
  mul,
  relu,
  silu,
  siluMul,
  type Tensor,
} from "@latentkit/tensor";
import type { HookRun } from "../hook-run.ts";
import { type Projection, project } from "./projection.ts";

/** The projections of an MLP. */
export interface MlpWeights {
  /** Null where the activation is applied to `up` itself. */
  readonly gate: Projection | null;
  readonly up: Projection;
  readonly down: Projection;
}

/**
 * `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))` without a gate, with TransformerLens's sites, all
 * `[batch, pos, d_mlp]`: `hook_pre` is what the activation is applied to, `hook_pre_linear` (with a gate only) the other factor,
 * and `hook_post` what goes into `down`.
 *
 * @param at the MLP's prefix, for example `"blocks.3.mlp."`
 */
export function mlpBlock(
  x: Tensor,
  weights: MlpWeights,
  activation: Activation,
  at: string,
  hooks: HookRun,
): Tensor {
  const pre = hooks.visit(`${at}hook_pre`, project(x, weights.gate ?? weights.up));
  const post =
    weights.gate === null
      ? activations[activation](pre)
      : gatedProducts[activation](pre, hooks.visit(`${at}hook_pre_linear`, project(x, weights.up)));
  return project(hooks.visit(`${at}hook_post`, post), weights.down);
}

const activations: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  gelu,
  geluTanh,
  relu,
  silu,
};

const gatedProducts: Readonly<Record<Activation, (gate: Tensor, up: Tensor) => Tensor>> = {
  gelu: geluMul,
  geluTanh: geluTanhMul,
  relu: (gate, up) => mul(relu(gate), up),
  silu: siluMul,
};
