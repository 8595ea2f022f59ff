import { formatShape } from "@latentkit/core";
import { shapeError } from "../checks.ts";
import { add, mul } from "../operators/arithmetic.ts";
import { sgdStep } from "../operators/optimise.ts";
import { orthogonalise } from "../operators/orthogonalise.ts";
import type { Tensor } from "../tensor.ts";
import { type AdamSettings, adamWRule } from "./kinds.ts";
import {
  Optimiser,
  type OptimiserOptions,
  type ParameterUpdate,
  type UpdateRule,
} from "./optimiser.ts";

/** Settings of {@link muon}; `betas` and `epsilon` are of the parameters that AdamW updates. */
export interface MuonSettings extends AdamSettings {
  /** Which rule updates the parameter: `"muon"`, for matrices alone, by default. */
  readonly rule?: "muon" | "adamW" | undefined;
  /** Factor of the velocity; 0.95 by default. */
  readonly momentum?: number | undefined;
  /** Whether the update looks one step of the velocity ahead; it does by default. */
  readonly nesterov?: boolean | undefined;
  /** Passes of the orthogonalisation; 5 by default. */
  readonly iterations?: number | undefined;
  /**
   * How the rate goes with the shape [rows, columns]. `"adamW"`, the default: times `0.2 sqrt(max(rows, columns))`, so that an
   * update is about as large as AdamW's and one learning rate serves both (Liu et al., 2025, "Muon is scalable for LLM training").
   * `"original"`: times `sqrt(max(1, rows / columns))`.
   */
  readonly rate?: "adamW" | "original" | undefined;
}

const muonRule: UpdateRule<MuonSettings> = {
  kind: "muon",
  slots(settings, name, parameter) {
    if (settings.rule === "adamW") return adamWRule.slots(settings, name, parameter);
    if (parameter.shape.length === 2) return ["velocity"];
    throw shapeError(
      "muon",
      `the parameter "${name}" of shape ${formatShape(parameter.shape)}, expected a matrix`,
      'put it into a group with the rule "adamW"',
    );
  },
  update(update) {
    if (update.settings.rule === "adamW") adamWRule.update(update);
    else orthogonalUpdate(update);
  },
};

function orthogonalUpdate(update: ParameterUpdate<MuonSettings>): void {
  const { parameter, gradient, slots, settings, learningRate, options } = update;
  const { momentum = 0.95, nesterov = true, weightDecay = 0.01, iterations, rate } = settings;
  const { velocity } = slots;
  if (velocity === undefined) return; // every matrix has one, see slots
  const { device, shape } = parameter;
  const { gradientScale = null } = options;
  device.scope(() => {
    // A step of SGD from 0 at a rate of -1 leaves its direction. What it skips, for a scale of NaN, the step below skips too.
    const direction = device.zeros(shape);
    sgdStep(
      direction,
      gradient,
      velocity,
      { learningRate: -1, momentum, nesterov, l2: 0 },
      options,
    );
    const step = mul(orthogonalise(direction, { iterations }), rateFactor(shape, rate));
    const skip = gradientScale === null ? null : add(mul(gradientScale, 0), 1);
    const plan = { learningRate, momentum: 0, nesterov: false, l2: weightDecay };
    sgdStep(parameter, step, null, plan, { gradientScale: skip });
  });
}

function rateFactor([rows = 1, columns = 1]: Tensor["shape"], rate: MuonSettings["rate"]): number {
  return rate === "original"
    ? Math.sqrt(Math.max(1, rows / columns))
    : 0.2 * Math.sqrt(Math.max(rows, columns));
}

/**
 * Muon (Jordan et al., 2024): the momentum of a matrix, orthogonalised, so that all its directions are learned at one pace and not
 * only the few that dominate the gradient. `velocity = momentum velocity + g`, `d = nesterov ? g + momentum velocity : velocity`,
 * `p -= learningRate (factor orthogonalise(d) + weightDecay p)`, with a decoupled weight decay of 0.01 unless told otherwise. As
 * PyTorch's `Muon` (whose velocity is smaller by `1 - momentum`, which the orthogonalisation takes out again), but in f32.
 *
 * It is meant for the matrices inside of a network; embeddings, the output head and vectors go into groups with the rule `"adamW"`.
 * Throws `ShapeError` for a parameter without such a group that is no matrix, and what `Optimiser` throws.
 *
 * @example
 * using optimiser = muon(parameters, {
 *   learningRate: 2e-3,
 *   weightDecay: 0.1,
 *   groups: [{ match: /embed|norm/, rule: "adamW", betas: [0.9, 0.95] }],
 * });
 */
export function muon<Parameters>(
  parameters: Parameters,
  options: OptimiserOptions<MuonSettings>,
): Optimiser<Parameters, MuonSettings> {
  return new Optimiser(muonRule, parameters, options);
}
