import type { Tensor } from "../tensor.ts";

/**
 * A gradient rule: from the gradients to an operator's outputs (null for an output that the loss does not depend on) to the
 * gradients to its inputs (null where there is none). It runs inside a scope and may return the tensors it was given.
 */
export type GradientRule = (
  gradients: readonly (Tensor | null)[],
  context: GradientContext,
) => readonly (Tensor | null)[];

/** What a {@link GradientRule} works with. */
export interface GradientContext {
  /** The tensors that the operator saved, in its order. */
  readonly saved: readonly Tensor[];
  /** For each input whether anybody wants its gradient; a rule may give null where not. */
  readonly needs: readonly boolean[];
}

/** One application of an operator, as it tells the tape. */
export interface OperatorRecord {
  readonly operator: string;
  /** Inputs that have a gradient, in the rule's order. */
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Inputs or outputs that the rule reads; the tape keeps their memory until it is freed. */
  readonly saved: readonly Tensor[];
  readonly rule: GradientRule;
}

/** What a device has open while operators are to be recorded: a `Tape`, or one that only looks. */
export interface Recorder {
  /** Whether a gradient to `x` is possible. */
  tracks(x: Tensor): boolean;
  /** Notes one application, if any of its inputs is tracked; its outputs are tracked from then on. */
  record(record: OperatorRecord): void;
}

/** One application of an operator, as an {@link Observer} hears of it. */
export interface Observation {
  readonly operator: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/** Hears of every operator on a device right after it was issued; for debugging. */
export interface Observer {
  saw(observation: Observation): void;
  /** The gradient rule of an operator begins; what is seen until it ends belongs to it. */
  enterRule(operator: string): void;
  /** The rule that began last ends, with the gradients that it was given and gave. */
  leaveRule(gradients: readonly Tensor[], results: readonly Tensor[]): void;
}
