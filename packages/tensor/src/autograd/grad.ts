import { DeviceError, DTypeError, formatShape, LatentkitError, ShapeError } from "@latentkit/core";
import { Tensor } from "../tensor.ts";
import { deviceOf, mapTensors, type NamedTensor, tensorsOf } from "./nest.ts";
import { Tape } from "./tape.ts";

/** What a function that is differentiated gives: the loss, or the loss and whatever else is to survive. */
export type Differentiated = Tensor | { readonly loss: Tensor };

/** What {@link valueAndGrad} gives. The caller, or the open scope, owns all tensors in it. */
export interface ValueAndGradients<Value, Parameters> {
  /** What the function gave. */
  readonly value: Value;
  /** Gradients of the loss, in the structure of the parameters. Zeros where the loss does not depend on one. */
  readonly gradients: Parameters;
}

/**
 * From `f(parameters, ...rest)`, which computes a loss, to a function that gives what `f` gives and the gradients of the loss to
 * all tensors in `parameters`: a tensor, or arrays and plain objects of f32 tensors. `f` gives the loss, a tensor of one element, or
 * an object `{ loss, ... }` whose other tensors survive as well (without gradient). It is synchronous; everything that is made
 * inside is freed, except what is returned.
 *
 * The tape keeps what gradient rules need until the backward pass is past them; other intermediates are freed when `f` ends, or
 * earlier where `f` uses `Device.scope` (a scope for each layer, say).
 *
 * Throws `ShapeError` for a loss of more than one element, `LatentkitError` `AUTOGRAD_NO_DEPENDENCE` for one that depends on no
 * parameter, `AUTOGRAD_ASYNC` where `f` gives a promise, `AUTOGRAD_HIGHER_ORDER` inside another gradient, `ConfigError`
 * `PARAMETERS_NEST` for parameters of another kind.
 *
 * @example
 * const step = valueAndGrad((w: Tensor, x: Tensor, y: Tensor) => mean(square(sub(matmul(x, w), y))));
 * const { value, gradients } = step(w, x, y);
 */
export function valueAndGrad<
  Parameters,
  Rest extends readonly unknown[],
  Value extends Differentiated,
>(
  f: (parameters: Parameters, ...rest: Rest) => Value,
): (parameters: Parameters, ...rest: Rest) => ValueAndGradients<Value, Parameters> {
  return (parameters, ...rest) => {
    const named = tensorsOf(parameters);
    const device = deviceOf(named, "parameters");
    for (const { name, tensor } of named) requireFloats(name, tensor);
    const tensors = named.map(({ tensor }) => tensor);
    return device.scope(() => {
      using tape = new Tape(device);
      for (const tensor of tensors) tape.watch(tensor);
      const value = device.scope(() => {
        const result = tape.run(() => f(parameters, ...rest));
        requireSynchronous(result);
        return result;
      });
      const loss = lossOf(value);
      requireLoss(loss, tape, named);
      const gradients = tape.gradients(loss, tensors);
      const byTensor = new Map(tensors.map((tensor, index) => [tensor, gradients[index]]));
      return {
        value,
        gradients: mapTensors(parameters, (tensor) => byTensor.get(tensor) ?? tensor),
      };
    });
  };
}

/** {@link valueAndGrad} for the gradients alone; what `f` gives is freed. */
export function grad<Parameters, Rest extends readonly unknown[]>(
  f: (parameters: Parameters, ...rest: Rest) => Differentiated,
): (parameters: Parameters, ...rest: Rest) => Parameters {
  const both = valueAndGrad(f);
  return (parameters, ...rest) => {
    const device = deviceOf(tensorsOf(parameters), "parameters");
    return device.scope(() => both(parameters, ...rest).gradients);
  };
}

function lossOf(value: unknown): Tensor {
  if (value instanceof Tensor) return value;
  if (
    typeof value === "object" &&
    value !== null &&
    "loss" in value &&
    value.loss instanceof Tensor
  )
    return value.loss;
  throw new LatentkitError({
    code: "AUTOGRAD_LOSS",
    message: `the function that is differentiated gave ${describe(value)}, expected a tensor or { loss, ... } with a tensor as loss`,
    fix: "return the loss as a tensor of one element; read its value outside, by item()",
  });
}

function requireLoss(loss: Tensor, tape: Tape, parameters: readonly NamedTensor[]): void {
  if (loss.device !== tape.device) {
    throw new DeviceError({
      code: "DEVICE_MISMATCH",
      message: `the loss of shape ${formatShape(loss.shape)} is on another device (${loss.device.info.name}) than the parameters (${tape.device.info.name})`,
      fix: "make the inputs of the loss on the parameters' device",
    });
  }
  if (loss.size !== 1) {
    throw new ShapeError({
      code: "SHAPE_MISMATCH",
      message: `the function that is differentiated gave a loss of shape ${formatShape(loss.shape)}, expected one element`,
      fix: "reduce it by sum or mean",
    });
  }
  if (tape.tracks(loss)) return;
  const names = parameters
    .slice(0, 3)
    .map(({ name, tensor }) => `"${name}" ${formatShape(tensor.shape)}`);
  throw new LatentkitError({
    code: "AUTOGRAD_NO_DEPENDENCE",
    message: `the loss depends on none of the ${parameters.length} parameters (${names.join(", ")}${parameters.length > 3 ? ", ..." : ""})`,
    fix: "compute it from the parameters by differentiable operators, outside of noGrad and stopGradient",
  });
}

function requireFloats(name: string, { dtype, shape }: Tensor): void {
  if (dtype === "f32") return;
  throw new DTypeError({
    code: "DTYPE_MISMATCH",
    message: `parameter "${name}" of shape ${formatShape(shape)} has dtype ${dtype}; gradients are taken to f32`,
    fix: "pass tensors of other dtypes as further arguments, or keep an f32 copy to train",
  });
}

function requireSynchronous(result: unknown): void {
  if (!(result instanceof Promise)) return;
  // The error below tells all; what becomes of the promise is nobody's business any more.
  result.catch(() => undefined);
  throw new LatentkitError({
    code: "AUTOGRAD_ASYNC",
    message: "the function that is differentiated gave a promise",
    fix: "make it synchronous: read data before, and values of tensors after",
  });
}

function describe(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "object" ? "an object without a loss" : `a value of type ${typeof value}`;
}
