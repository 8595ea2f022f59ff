import { LatentkitError } from "@latentkit/core";
import { heldTensors } from "../scope.ts";
import { Tensor } from "../tensor.ts";
import { differentiableOutputs } from "./differentiable.ts";
import { tensorsOf } from "./nest.ts";
import { Probe } from "./probe.ts";
import { Tape } from "./tape.ts";

/**
 * `f(...inputs)`, of which the tape keeps only the inputs: the backward pass computes `f` a second time when it comes there, so
 * that a deep model holds the intermediates of one layer at a time (Chen et al., "Training deep nets with sublinear memory cost",
 * 2016). Losses and gradients are bit for bit those without it.
 *
 * `f` is synchronous, gives a tensor or arrays and plain objects of tensors, and computes the same each time: randomness comes from
 * keys, not from a stream that moves on. Tensors that it reads besides its inputs, such as weights, get their gradients too, but have
 * to be alive in the backward pass (`AUTOGRAD_CHECKPOINT` otherwise).
 */
export function checkpoint<Inputs extends readonly Tensor[], Result>(
  f: (...inputs: Inputs) => Result,
  ...inputs: Inputs
): Result {
  const device = inputs[0]?.device;
  if (device === undefined) {
    throw new LatentkitError({
      code: "AUTOGRAD_CHECKPOINT",
      message: "checkpoint got a function without tensors to call it with",
      fix: "pass the tensors that change from step to step, such as the residual stream",
    });
  }
  const { tape } = device;
  if (tape === null) return device.scope(() => f(...inputs));
  const probe = new Probe(tape);
  const result = device.scope(() => device.withTape(probe, () => f(...inputs)));
  const outputs = outputsOf(result);
  const others = [...probe.captured].filter((tensor) => !inputs.includes(tensor));
  if (outputs.some((output) => tape.tracks(output))) {
    throw new LatentkitError({
      code: "AUTOGRAD_CHECKPOINT",
      message: "the function of a checkpoint gave back a tensor that it was given",
      fix: "return only what it computed; its inputs are at hand already",
    });
  }
  differentiableOutputs({
    operator: "checkpoint",
    inputs: [...inputs, ...others],
    outputs,
    saved: inputs,
    rule: (gradients, { saved, needs }) => {
      using again = new Tape(device);
      const wanted = [...saved, ...others].map((tensor, index) =>
        needs[index] === true ? tensor : null,
      );
      for (const tensor of wanted) if (tensor !== null) again.watch(tensor);
      // The saved handles stand for the inputs in their order.
      const recomputed = outputsOf(
        recompute(() => device.scope(() => again.replay(() => f(...(saved as unknown as Inputs))))),
      );
      const targets = wanted.filter((tensor) => tensor !== null);
      const found = again.gradientsOf(recomputed, gradients, targets);
      let next = 0;
      return wanted.map((tensor) => (tensor === null ? null : (found[next++] ?? null)));
    },
  });
  return result;
}

function recompute<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!LatentkitError.isInstance(error) || error.code !== "TENSOR_DISPOSED") throw error;
    throw new LatentkitError({
      code: "AUTOGRAD_CHECKPOINT",
      message: `the backward pass computed a checkpoint again and found gone what it reads besides its inputs: ${error.message}`,
      fix: "pass that tensor among the inputs of checkpoint, or keep it until the gradients are there",
      cause: error,
    });
  }
}

/** The tensors that a function gave. */
function outputsOf(result: unknown): Tensor[] {
  if (result instanceof Tensor) return [result];
  if (typeof result === "object" && result !== null && heldTensors in result) {
    throw new LatentkitError({
      code: "AUTOGRAD_CHECKPOINT",
      message: "the function of a checkpoint gave an object of a class that holds tensors",
      fix: "return tensors, or arrays and plain objects of them",
    });
  }
  return tensorsOf(result, "the results of a checkpoint").map(({ tensor }) => tensor);
}
