import { formatShape, LatentkitError, type Shape } from "@latentkit/core";
import type { Device } from "../device.ts";
import { countNonFinite } from "../operators/compare.ts";
import type { Tensor } from "../tensor.ts";
import { type Differentiated, valueAndGrad } from "./grad.ts";
import { deviceOf, disposeTensors, tensorsOf } from "./nest.ts";
import type { Observation, Observer } from "./recorder.ts";

/** How many elements of a tensor are NaN or infinite. */
export interface TensorHealth {
  readonly shape: Shape;
  readonly size: number;
  readonly nonFinite: number;
}

/** Where a NaN or an infinity came from, see {@link findNonFinite}. */
export interface NonFiniteReport {
  /** The operator that made it first; `"parameter NAME"` for one that was there before. */
  readonly operator: string;
  readonly phase: "parameters" | "forward" | "backward";
  /** In the backward pass, the operator in whose gradient rule it happened; else null. */
  readonly rule: string | null;
  /** The operator's f32 outputs and inputs; the tensors with a gradient, that is, and without ids and the like. */
  readonly outputs: readonly TensorHealth[];
  readonly inputs: readonly TensorHealth[];
  /** All of it in a sentence. */
  readonly message: string;
}

/** Which operators {@link findNonFinite} looks at. */
export interface FindNonFiniteOptions {
  /** Operators whose infinities are meant, such as one that makes a mask of -infinity. */
  readonly ignore?: readonly string[] | undefined;
}

/**
 * Runs `f` and its gradient once more, counts NaN and infinities after every operator, and says which made the first, in the
 * forward or the backward pass; null where all is finite. For after a loss that was not: it costs a pass over every tensor.
 *
 * Counts stay on the device until the run is over. Call it with the parameters and the batch that gave the bad loss: an update with
 * non-finite gradients makes all parameters non-finite, unless it goes by the scale of `clipByGlobalNorm`, which leaves such an
 * update out. Operators that write in place are not seen, only what is made of their results.
 *
 * @example
 * const { value, gradients } = valueAndGrad(loss)(parameters, batch);
 * if (!Number.isFinite(await value.item())) console.error((await findNonFinite(() => loss(parameters, batch), parameters))?.message);
 */
export async function findNonFinite<Parameters>(
  f: (parameters: Parameters) => Differentiated,
  parameters: Parameters,
  { ignore = [] }: FindNonFiniteOptions = {},
): Promise<NonFiniteReport | null> {
  const named = tensorsOf(parameters);
  const device = deviceOf(named, "parameters");
  const watch = new Watch(device, new Set(ignore));
  try {
    for (const { name, tensor } of named)
      watch.note(
        { operator: `parameter "${name}"`, phase: "parameters", rule: null },
        [],
        [tensor],
      );
    const both = valueAndGrad((given: Parameters) => ({ loss: lossIn(f(given)) }));
    const { value, gradients } = device.withObserver(watch, () => both(parameters));
    value.loss.dispose();
    disposeTensors(gradients);
    return await watch.first();
  } finally {
    watch.dispose();
  }
}

/**
 * What training loops call on each loss that they read. Throws `LatentkitError` `NON_FINITE_LOSS` unless it is finite.
 *
 * @param where the step, or whatever else says when
 * @param report of {@link findNonFinite}, for the message
 */
export function requireFiniteLoss(
  loss: number,
  where?: string,
  report: NonFiniteReport | null = null,
): void {
  if (Number.isFinite(loss)) return;
  throw new LatentkitError({
    code: "NON_FINITE_LOSS",
    message: `the loss is ${loss}${report === null ? "" : `: ${report.message}`}`,
    fix:
      report === null
        ? "call findNonFinite with the same parameters and batch: it names the operator that made the first"
        : "look at that operator's inputs; a smaller learning rate, clipping or an epsilon is the usual cure",
    where,
  });
}

interface Origin {
  readonly operator: string;
  readonly phase: NonFiniteReport["phase"];
  readonly rule: string | null;
}

interface Count {
  readonly shape: Shape;
  readonly size: number;
  readonly count: Tensor;
}

interface Note {
  readonly origin: Origin;
  readonly inputs: readonly Count[];
  readonly outputs: readonly Count[];
}

/** Counts on the device as operators go by. */
class Watch implements Observer {
  readonly #device: Device;
  readonly #ignore: ReadonlySet<string>;
  readonly #notes: Note[] = [];
  readonly #rules: string[] = [];

  constructor(device: Device, ignore: ReadonlySet<string>) {
    this.#device = device;
    this.#ignore = ignore;
  }

  saw({ operator, inputs, outputs }: Observation): void {
    const rule = this.#rules.at(-1) ?? null;
    this.note({ operator, phase: rule === null ? "forward" : "backward", rule }, inputs, outputs);
  }

  enterRule(operator: string): void {
    this.#rules.push(operator);
  }

  leaveRule(gradients: readonly Tensor[], results: readonly Tensor[]): void {
    const operator = this.#rules.pop() ?? "";
    this.note({ operator, phase: "backward", rule: operator }, gradients, results);
  }

  note(origin: Origin, inputs: readonly Tensor[], outputs: readonly Tensor[]): void {
    if (this.#ignore.has(origin.operator)) return;
    const count = (tensors: readonly Tensor[]): Count[] =>
      tensors
        .filter(({ dtype }) => dtype === "f32")
        .map((tensor) => ({
          shape: tensor.shape,
          size: tensor.size,
          count: this.#device.keep(countNonFinite(tensor)),
        }));
    // Its own operators are neither recorded nor seen.
    this.#device.withObserver(null, () =>
      this.#device.withTape(null, () =>
        this.#notes.push({ origin, inputs: count(inputs), outputs: count(outputs) }),
      ),
    );
  }

  /** The first note with an output that is not finite. */
  async first(): Promise<NonFiniteReport | null> {
    const bad = await Promise.all(
      this.#notes.map(async ({ outputs }) => (await health(outputs)).some(isBad)),
    );
    const note = this.#notes[bad.indexOf(true)];
    if (note === undefined) return null;
    const [inputs, outputs] = [await health(note.inputs), await health(note.outputs)];
    return { ...note.origin, inputs, outputs, message: describe(note.origin, inputs, outputs) };
  }

  dispose(): void {
    for (const { inputs, outputs } of this.#notes)
      for (const { count } of [...inputs, ...outputs]) count.dispose();
    this.#notes.length = 0;
  }
}

function health(counts: readonly Count[]): Promise<TensorHealth[]> {
  return Promise.all(
    counts.map(async ({ shape, size, count }) => ({ shape, size, nonFinite: await count.item() })),
  );
}

function isBad({ nonFinite }: TensorHealth): boolean {
  return nonFinite > 0;
}

function describe(
  { operator, phase, rule }: Origin,
  inputs: readonly TensorHealth[],
  outputs: readonly TensorHealth[],
): string {
  const made = outputs
    .filter(isBad)
    .map(({ shape, size, nonFinite }) => `${nonFinite} of ${size} values of ${formatShape(shape)}`);
  if (phase === "parameters") return `${operator} held NaN or infinity before: ${made.join(", ")}`;
  const from = inputs.map(
    ({ shape, nonFinite }) =>
      `${formatShape(shape)} (${nonFinite === 0 ? "all finite" : `${nonFinite} not finite`})`,
  );
  const what =
    phase === "forward"
      ? operator
      : rule === operator
        ? `the gradient of ${operator}`
        : `${operator}, in the gradient of ${rule}`;
  return `${what} was the first to make NaN or infinity: ${made.join(", ")}, from ${from.length === 0 ? "no f32 input" : from.join(", ")}`;
}

function lossIn(value: Differentiated): Tensor {
  return "loss" in value ? value.loss : value;
}
