import type { Slice } from "./storage.ts";

/** Adam (Kingma and Ba, 2014) with bias correction; `weightDecay` is decoupled (AdamW), 0 for none. */
export interface AdamPlan {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Times the parameter, added to its gradient: the weight decay of the first Adam. 0 by default. */
  readonly l2?: number | undefined;
  /** 1 for the first update. */
  readonly step: number;
}

/** Stochastic gradient descent, as PyTorch has it. */
export interface SgdPlan {
  readonly learningRate: number;
  /** Factor of the velocity, 0 for none. */
  readonly momentum: number;
  readonly nesterov: boolean;
  /** Times the parameter, added to its gradient. */
  readonly l2: number;
}

/**
 * Optimisation. All floats are f32 unless a line says otherwise; index slices are i32.
 *
 * `gradientScale` is one number on the device, or null for 1, that the gradient is multiplied by first. Where it is NaN nothing is
 * changed: the update is left out.
 */
export interface OptimiseKernels {
  /** Updates `parameter` and both moments in place. With `beta1` = 0 the first moment is not touched and may be empty. */
  adam(
    parameter: Slice,
    gradient: Slice,
    firstMoment: Slice,
    secondMoment: Slice,
    plan: AdamPlan,
    gradientScale: Slice | null,
  ): void;
  /**
   * `g = gradientScale * gradient + l2 * parameter; velocity = momentum * velocity + g;
   * parameter -= learningRate * (nesterov ? g + momentum * velocity : velocity)`, in place. With `momentum` = 0 the velocity is `g`
   * itself: the slice is not touched and may be empty.
   */
  sgd(
    parameter: Slice,
    gradient: Slice,
    velocity: Slice,
    plan: SgdPlan,
    gradientScale: Slice | null,
  ): void;
  /** Divides each row by its L2 norm (rows of norm 0 stay), in place. */
  normalizeRows(x: Slice, rows: number, columns: number): void;
  /** `gradient[r] -= (gradient[r] . u) u` with u = weight[r] / ||weight[r]||, in place. */
  removeParallelRows(gradient: Slice, weight: Slice, rows: number, columns: number): void;
}
