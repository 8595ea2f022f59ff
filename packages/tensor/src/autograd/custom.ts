import { formatShape, LatentkitError } from "@latentkit/core";
import { Tensor } from "../tensor.ts";
import { differentiable } from "./differentiable.ts";
import { Probe } from "./probe.ts";
import type { GradientContext } from "./recorder.ts";

/** What the forward of {@link custom} gives: the output, or the output and what the backward reads. */
export type CustomResult = Tensor | { readonly output: Tensor; readonly saved: readonly Tensor[] };

/** An operator with a gradient of one's own. */
export interface CustomOperator<Inputs extends readonly Tensor[]> {
  /** In errors and reports; `"custom"` by default. */
  readonly operator?: string | undefined;
  /** Computes the output, of any operators. It may name what the backward needs; without that the inputs and the output are kept. */
  readonly forward: (...inputs: Inputs) => CustomResult;
  /**
   * From the gradient to the output to those to the inputs, in their order, null where there is none. `context.saved` holds what
   * the forward named, or the inputs and then the output.
   */
  readonly backward: (gradient: Tensor, context: GradientContext) => readonly (Tensor | null)[];
}

/**
 * An operator whose gradient is given instead of derived: for a better one than the derivative of the parts (straight-through
 * estimators), or a cheaper one. The forward is not recorded.
 *
 * Throws `LatentkitError` `AUTOGRAD_CUSTOM_CAPTURE` where the forward reads a tensor with a gradient that is not among the inputs:
 * that gradient would be lost.
 *
 * @example
 * // Rounds, and lets the gradient through as if it had not.
 * const roundStraight = custom({ forward: (x: Tensor) => round(x), backward: (gradient) => [gradient] });
 */
export function custom<Inputs extends readonly Tensor[]>({
  operator = "custom",
  forward,
  backward,
}: CustomOperator<Inputs>): (...inputs: Inputs) => Tensor {
  return (...inputs) => {
    const device = inputs[0]?.device;
    if (device === undefined) {
      throw new LatentkitError({
        code: "AUTOGRAD_CUSTOM_INPUTS",
        message: `${operator} was called without tensors`,
        fix: "pass the tensors that it computes from",
      });
    }
    return device.scope(() => {
      const { tape } = device;
      const probe = tape === null ? null : new Probe(tape);
      const result = device.withTape(probe, () => forward(...inputs));
      const output = result instanceof Tensor ? result : result.output;
      const saved = result instanceof Tensor ? [...inputs, output] : result.saved;
      for (const captured of probe?.captured ?? [])
        if (!inputs.includes(captured)) throw captureError(operator, captured);
      // An input that is handed through needs a handle of its own: the tape tells values apart by their tensors.
      const made = inputs.includes(output) ? output.alias() : output;
      return differentiable(made, {
        operator,
        inputs,
        saved,
        // Aliases: the user may give tensors that live on.
        rule: (gradient, context) =>
          backward(gradient, context).map((given) => given?.alias() ?? null),
      });
    });
  };
}

function captureError(operator: string, captured: Tensor): LatentkitError {
  return new LatentkitError({
    code: "AUTOGRAD_CUSTOM_CAPTURE",
    message: `the forward of ${operator} reads a tensor of shape ${formatShape(captured.shape)} that has a gradient and is not among its inputs`,
    fix: "pass it as an input, or stopGradient of it",
  });
}
