import type { SaeStepEvent } from "@latentkit/sae";
import { sparkline } from "../train-lm/curve.ts";

/** Lines at most; a suite of hundreds would push everything else off the screen. */
const most = 16;
const columns = 16;

/** What is known of each of several trainings, as lines below the progress. */
export class TrainingView {
  readonly #last = new Map<string, SaeStepEvent>();
  readonly #errors = new Map<string, number[]>();

  readonly #label: (name: string) => string;

  /** @param names of all SAEs, in the order in which they are shown, as `label` has them */
  constructor(names: readonly string[], label: (name: string) => string = (name) => name) {
    for (const name of names) this.#errors.set(name, []);
    this.#label = label;
  }

  take(event: SaeStepEvent): void {
    const { fvu } = event.figures;
    const errors = this.#errors.get(event.name);
    const before = this.#last.get(event.name)?.figures["heldOutFvu"];
    const held = event.figures["heldOutFvu"];
    if (held !== undefined && held !== before) errors?.push(held);
    else if (errors?.length === 0 && fvu !== undefined) errors.push(fvu);
    this.#last.set(event.name, event);
  }

  /** `topk-k_32    42%  L0 32.0  FVU 0.183  dead 12  dense 3  ▇▅▃▂▁`. */
  lines(): string[] {
    const names = [...this.#errors.keys()];
    const shown = names.slice(0, most);
    const width = Math.max(...shown.map((name) => this.#label(name).length));
    const lines = shown.map(
      (name) => `${this.#label(name).padEnd(width)}  ${this.#describe(name)}`,
    );
    const left = names.length - shown.length;
    return left === 0 ? lines : [...lines, `and ${left} more`];
  }

  #describe(name: string): string {
    const event = this.#last.get(name);
    if (event === undefined) return "waiting";
    const { done, total, figures } = event;
    const parts = [`${Math.floor((100 * done) / total)}%`.padStart(4)];
    const figure = (label: string, value: number | undefined): void => {
      if (value !== undefined)
        parts.push(`${label} ${value.toLocaleString("en", { maximumSignificantDigits: 3 })}`);
    };
    figure("loss", figures["loss"]);
    figure("L0", figures["heldOutL0"] ?? figures["l0"]);
    figure("FVU", figures["heldOutFvu"]);
    figure("dead", figures["dead"]);
    figure("dense", figures["dense"]);
    const errors = this.#errors.get(name) ?? [];
    if (errors.length > 1) parts.push(sparkline(errors, columns));
    return parts.join("  ");
  }
}
