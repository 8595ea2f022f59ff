import type { Reading } from "../protocol.ts";
import { byId } from "./element.ts";
import { amount } from "./words.ts";

/** Strengths reach so many times the latent's greatest activation in the text. */
const reach = 4;

/** The panel of the latent that is followed: where it is active, and how much of its direction to add. */
export class Steering {
  readonly #panel = byId("chosen", HTMLElement);
  readonly #slider = byId("strength", HTMLInputElement);
  readonly #value = byId("strength-value", HTMLOutputElement);
  readonly #tell: () => void;

  /**
   * @param changed is called when the strength has changed
   * @param release is called when the reader lets go of the latent
   */
  constructor(changed: () => void, release: () => void) {
    this.#tell = changed;
    this.#slider.addEventListener("input", () => this.#changed());
    byId("unsteer", HTMLButtonElement).addEventListener("click", () => {
      if (this.strength === 0) return;
      this.#slider.value = "0";
      this.#changed();
    });
    byId("release", HTMLButtonElement).addEventListener("click", release);
  }

  /** What to multiply the decoder direction with; 0 for no steering. */
  get strength(): number {
    return this.#slider.valueAsNumber;
  }

  reset(): void {
    this.#slider.value = "0";
    this.#value.textContent = "0";
  }

  show(latent: number | null, tokens: Reading["tokens"]): void {
    this.#panel.hidden = latent === null;
    if (latent === null) return;
    const activations = tokens.flatMap(({ active }) =>
      active.filter((one) => one.latent === latent).map(({ activation }) => activation),
    );
    const most = Math.max(...activations, 0);
    byId("chosen-title", HTMLElement).textContent = `Latent ${latent}`;
    byId("chosen-note", HTMLElement).textContent =
      `Active at ${activations.length} of ${tokens.length} tokens, at most ${amount(most)}.`;
    // A latent that is silent here keeps the range that it had.
    if (most > 0 && this.strength === 0) this.#range(Math.ceil(reach * most));
  }

  #range(most: number): void {
    this.#slider.min = String(-most);
    this.#slider.max = String(most);
    this.#slider.step = String(most / 40);
    this.#slider.value = "0";
  }

  #changed(): void {
    this.#value.textContent = String(this.strength);
    this.#tell();
  }
}
