import type { Tensor } from "../tensor.ts";
import type { OperatorRecord, Recorder } from "./recorder.ts";

/**
 * Stands in for the open tape while a function runs that the tape is to see as one operator: notes which tracked tensors the
 * function reads, and keeps nothing.
 */
export class Probe implements Recorder {
  /** Tensors that the outer recorder tracks and the function reads, in the order of first use. */
  readonly captured: Set<Tensor> = new Set<Tensor>();
  readonly #outer: Recorder;
  readonly #made = new WeakSet<Tensor>();

  constructor(outer: Recorder) {
    this.#outer = outer;
  }

  tracks(x: Tensor): boolean {
    return this.#made.has(x) || this.#outer.tracks(x);
  }

  record({ inputs, outputs }: OperatorRecord): void {
    let tracked = false;
    for (const input of inputs) {
      if (this.#made.has(input)) tracked = true;
      else if (this.#outer.tracks(input)) {
        this.captured.add(input);
        tracked = true;
      }
    }
    if (tracked) for (const output of outputs) this.#made.add(output);
  }
}
