import type { Tensor } from "../tensor.ts";
import type { GradientContext, OperatorRecord } from "./recorder.ts";

/** What an operator with one output says of its gradient. */
export interface Differentiation {
  readonly operator: string;
  /** Inputs that have a gradient. */
  readonly inputs: readonly Tensor[];
  /** Inputs or outputs that the rule reads. */
  readonly saved?: readonly Tensor[];
  /** From the gradient to the output to the gradients to the inputs, in their order; null where there is none. */
  readonly rule: (gradient: Tensor, context: GradientContext) => readonly (Tensor | null)[];
}

/** Tells the open tape, if there is one, how `output` came about; returns `output`. What every operator ends with. */
export function differentiable(
  output: Tensor,
  { operator, inputs, saved = [], rule }: Differentiation,
): Tensor {
  const { tape, observer } = output.device;
  // Nothing listens most of the time: no arrays are made then.
  if (tape === null && observer === null) return output;
  differentiableOutputs({
    operator,
    inputs,
    outputs: [output],
    saved,
    rule: ([gradient], context) =>
      gradient === null || gradient === undefined
        ? inputs.map(() => null)
        : rule(gradient, context),
  });
  return output;
}

/** The same for an operator of several outputs; a gradient is null where the loss does not depend on that output. */
export function differentiableOutputs(record: OperatorRecord): void {
  const device = record.outputs[0]?.device;
  if (device === undefined) return;
  device.tape?.record(record);
  device.observer?.saw(record);
}
