import { formatShape, LatentkitError, sameShape, type Shape, ShapeError } from "@latentkit/core";
import type { Device } from "../device.ts";
import { addInto } from "../operators/arithmetic.ts";
import { clone } from "../operators/layout.ts";
import type { Tensor } from "../tensor.ts";
import type { GradientRule, OperatorRecord, Recorder } from "./recorder.ts";

export type { GradientContext, GradientRule, OperatorRecord } from "./recorder.ts";

interface Entry {
  readonly operator: string;
  readonly inputs: readonly (Input | null)[];
  readonly outputs: readonly number[];
  readonly saved: readonly Tensor[];
  readonly rule: GradientRule;
}

/** A tracked input of an operator. */
interface Input {
  readonly id: number;
  readonly shape: Shape;
}

/**
 * What operators did to watched tensors, in order, so that gradients can be taken backwards. A tape is used once: taking
 * gradients frees it, and using it again is an error.
 *
 * While a tape is the device's open one, every operator on a watched tensor, or on what came of one, records itself.
 * `grad` and `valueAndGrad` do all of this; a tape of one's own is for those who need the pieces.
 *
 * Gradients are of first order: gradient rules run with no tape open, and a tape does not run inside another.
 */
export class Tape implements Disposable, Recorder {
  readonly device: Device;
  readonly #ids = new WeakMap<Tensor, number>();
  #entries: Entry[] = [];
  #values = 0;
  #freed = false;

  constructor(device: Device) {
    this.device = device;
  }

  get freed(): boolean {
    return this.#freed;
  }

  /** Bytes of memory that the tape keeps for gradient rules, each storage counted once. */
  get savedBytes(): number {
    const storages = new Set(
      this.#entries.flatMap(({ saved }) => saved.map((tensor) => tensor.slice.storage)),
    );
    let bytes = 0;
    for (const { byteLength } of storages) bytes += byteLength;
    return bytes;
  }

  /** Makes gradients to `x` possible. Throws `LatentkitError` `AUTOGRAD_TAPE_FREED` on a tape that was used. */
  watch(x: Tensor): void {
    this.#requireUnused("watch");
    if (!this.#ids.has(x)) this.#ids.set(x, this.#values++);
  }

  /** Whether a gradient to `x` is possible: it is watched, or came of watched tensors. */
  tracks(x: Tensor): boolean {
    return this.#ids.has(x);
  }

  /**
   * Runs `run` with this tape open, so that operators record themselves.
   *
   * Throws `LatentkitError` `AUTOGRAD_HIGHER_ORDER` inside a gradient rule or while another tape is open (gradients of gradients
   * are not there), and `AUTOGRAD_TAPE_FREED` on a tape that was used.
   */
  run<T>(run: () => T): T {
    const { device } = this;
    if (device.differentiating || device.tape !== null) {
      throw new LatentkitError({
        code: "AUTOGRAD_HIGHER_ORDER",
        message: device.differentiating
          ? "a tape was opened inside a gradient rule, to take gradients of gradients"
          : "a tape was opened while another one records, to take gradients of gradients",
        fix: "only first gradients can be taken; where the inner ones are to count as constants, take them inside noGrad",
      });
    }
    return this.replay(run);
  }

  /** {@link Tape.run} for a gradient rule that computes its forward again. @internal */
  replay<T>(run: () => T): T {
    this.#requireUnused("run");
    return this.device.withTape(this, run);
  }

  /** For operators: notes one application, if any of its inputs is tracked. @internal */
  record({ operator, inputs, outputs, saved, rule }: OperatorRecord): void {
    if (!inputs.some((input) => this.#ids.has(input))) return;
    this.#requireUnused(operator);
    const tracked = inputs.map((input) => {
      const id = this.#ids.get(input);
      return id === undefined ? null : { id, shape: input.shape };
    });
    const made = outputs.map((output) => {
      const id = this.#values++;
      this.#ids.set(output, id);
      return id;
    });
    // Aliases: whoever made the tensors may free them, the memory stays until the tape has gone back beyond this operator.
    const kept = saved.map((tensor) => this.device.keep(tensor.alias()));
    this.#entries.push({ operator, inputs: tracked, outputs: made, saved: kept, rule });
  }

  /**
   * Gradients of `loss`, a tensor of one element, to each of `wrt`, and frees the tape. A tensor that the loss does not depend on
   * gets zeros. With a `seed` of the loss's shape the loss may have any: what is differentiated is then `sum(loss * seed)`. The
   * caller disposes the gradients.
   *
   * Throws `LatentkitError` `AUTOGRAD_TAPE_FREED` on a tape that was used, `AUTOGRAD_NOT_WATCHED` for a `wrt` that is not tracked,
   * and `ShapeError` for a loss of more elements or a seed of another shape.
   */
  gradients(loss: Tensor, wrt: readonly Tensor[], seed?: Tensor): Tensor[] {
    this.#requireUnused("gradients");
    if (seed === undefined && loss.size !== 1) {
      throw new ShapeError({
        code: "SHAPE_MISMATCH",
        message: `gradients got a loss of shape ${formatShape(loss.shape)}, expected one element`,
        fix: "reduce the loss with sum or mean first, or give a seed of the loss's shape",
      });
    }
    if (seed !== undefined && !sameShape(seed.shape, loss.shape)) {
      throw new ShapeError({
        code: "SHAPE_MISMATCH",
        message: `gradients got a loss of shape ${formatShape(loss.shape)} and a seed of shape ${formatShape(seed.shape)}`,
        fix: "give a seed of the loss's shape",
      });
    }
    return this.device.scope(() =>
      this.gradientsOf([loss], [seed ?? this.device.full(loss.shape, 1)], wrt),
    );
  }

  /** {@link Tape.gradients} of several outputs, each with its seed or null; shapes are the caller's business. @internal */
  gradientsOf(
    outputs: readonly Tensor[],
    seeds: readonly (Tensor | null)[],
    wrt: readonly Tensor[],
  ): Tensor[] {
    this.#requireUnused("gradients");
    const targets = wrt.map((tensor) => this.#idOf(tensor));
    return this.device.scope(() => {
      const found = new Map<number, Tensor>();
      for (const [index, output] of outputs.entries()) {
        const id = this.#ids.get(output);
        const seed = seeds[index] ?? null;
        if (id !== undefined && seed !== null) accumulate(found, id, seed);
      }
      this.#walk(found, new Set(targets));
      const taken = new Set<Tensor>();
      return targets.map((id, index) => {
        const gradient = found.get(id);
        if (gradient === undefined) return this.device.zeros(wrt[index]?.shape ?? []);
        // Two results do not share memory: a rule may have given one tensor to several inputs, or a part of a larger one.
        if (!gradient.exclusive || taken.has(gradient)) return clone(gradient);
        taken.add(gradient);
        return gradient;
      });
    });
  }

  /** Frees what the tape keeps. A second call does nothing. */
  dispose(): void {
    this.#freed = true;
    for (const { saved } of this.#entries) for (const tensor of saved) tensor.dispose();
    this.#entries = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Applies the rules from last to first, and frees what each one saved; `found` holds the gradient to each value so far. */
  #walk(found: Map<number, Tensor>, targets: ReadonlySet<number>): void {
    try {
      this.device.differentiate(() => {
        for (let entry = this.#entries.pop(); entry !== undefined; entry = this.#entries.pop()) {
          try {
            this.#apply(entry, found);
          } finally {
            for (const tensor of entry.saved) tensor.dispose();
          }
          for (const id of entry.outputs) {
            if (targets.has(id)) continue;
            found.get(id)?.dispose();
            found.delete(id);
          }
        }
      });
    } finally {
      this.dispose();
    }
  }

  #apply({ operator, inputs, outputs, saved, rule }: Entry, found: Map<number, Tensor>): void {
    const gradients = outputs.map((id) => found.get(id) ?? null);
    if (gradients.every((gradient) => gradient === null)) return;
    const needs = inputs.map((input) => input !== null);
    const { observer } = this.device;
    observer?.enterRule(operator);
    const results = this.device.scope(() => rule(gradients, { saved, needs }));
    observer?.leaveRule(present(gradients), present(results));
    for (const [index, input] of inputs.entries()) {
      const result = results[index];
      if (input === null || result === null || result === undefined) continue;
      requireGradientShape(operator, index, result, input.shape);
      accumulate(found, input.id, result);
    }
    for (const result of results)
      if (result !== null && !gradients.includes(result)) result.dispose();
  }

  #idOf(tensor: Tensor): number {
    const id = this.#ids.get(tensor);
    if (id !== undefined) return id;
    throw new LatentkitError({
      code: "AUTOGRAD_NOT_WATCHED",
      message: `a gradient was asked to a tensor of shape ${formatShape(tensor.shape)} that the tape does not know`,
      fix: "watch the tensor before the tape runs, or pass it among the inputs of grad",
    });
  }

  #requireUnused(what: string): void {
    if (!this.#freed) return;
    throw new LatentkitError({
      code: "AUTOGRAD_TAPE_FREED",
      message: `${what} was asked of a tape that has been used`,
      fix: "take all gradients in one call, or record again with a new tape",
    });
  }
}

/** Adds a gradient to what is known of a value; the first is kept under a handle of its own. */
function accumulate(found: Map<number, Tensor>, id: number, gradient: Tensor): void {
  const known = found.get(id);
  if (known === undefined) {
    found.set(id, gradient.alias());
    return;
  }
  if (known.exclusive) {
    addInto(known, gradient);
    return;
  }
  // A copy first: the known gradient shares its memory with another value's.
  const total = clone(known);
  addInto(total, gradient);
  known.dispose();
  found.set(id, total);
}

function present(tensors: readonly (Tensor | null)[]): readonly Tensor[] {
  return tensors.filter((tensor) => tensor !== null);
}

function requireGradientShape(
  operator: string,
  index: number,
  gradient: Tensor,
  shape: Shape,
): void {
  if (sameShape(gradient.shape, shape)) return;
  throw new ShapeError({
    code: "SHAPE_MISMATCH",
    message: `the gradient rule of ${operator} gave a gradient of shape ${formatShape(gradient.shape)} for input ${index} of shape ${formatShape(shape)}`,
    fix: "let the rule return one gradient for each input, of the input's shape",
  });
}
