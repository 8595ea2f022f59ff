import type { Reading } from "../protocol.ts";
import type { Ask } from "./engine-client.ts";
import { byId } from "./element.ts";
import { Steering } from "./steering.ts";
import { latentButtons, predictionRows, tokenButtons } from "./views.ts";
import { deviceInWords, visible } from "./words.ts";

/** Draws what was read, and keeps what the reader has chosen of it: a token, and a latent to follow and to steer by. */
export class Playground {
  readonly #tokens = byId("tokens", HTMLElement);
  readonly #latents = byId("latents", HTMLElement);
  readonly #steering: Steering;
  #reading: Reading | null = null;
  #token = 0;
  #latent: number | null = null;
  readonly #steered: () => void;

  /** @param steered is called when the steering has changed, which takes another reading */
  constructor(steered: () => void) {
    this.#steered = steered;
    this.#steering = new Steering(steered, () => this.#follow(null));
  }

  /** What the worker is to steer by. */
  get steering(): Ask["steering"] {
    const { strength } = this.#steering;
    return this.#latent === null || strength === 0 ? null : { latent: this.#latent, strength };
  }

  /** Forgets the chosen latent: another SAE has others by its number. */
  forgetLatent(): void {
    this.#latent = null;
    this.#steering.reset();
  }

  show(reading: Reading): void {
    const before = this.#reading;
    this.#reading = reading;
    const last = Math.max(reading.tokens.length - 1, 0);
    // Who types looks at the end; who changes something else stays at the token.
    if (before === null || before.tokens.length !== reading.tokens.length) this.#token = last;
    byId("reading", HTMLElement).hidden = false;
    byId("taken", HTMLElement).textContent = deviceInWords(reading.device);
    this.#draw();
  }

  #draw(): void {
    const reading = this.#reading;
    if (reading === null) return;
    const { tokens, width, site, next } = reading;
    const token = tokens[this.#token];
    const latent = this.#latent;
    keepingFocus(() => {
      this.#tokens.replaceChildren(
        ...tokenButtons(reading, this.#token, latent, (place) => this.#choose(place)),
      );
      this.#latents.replaceChildren(
        ...latentButtons(token?.active ?? [], latent, (chosen) =>
          this.#follow(chosen === latent ? null : chosen),
        ),
      );
    });
    byId("tokens-note", HTMLElement).textContent =
      tokens.length === 0
        ? "No tokens: type something."
        : latent === null
          ? "Choose one to see its latents."
          : `Shaded by latent ${latent}, the darkest where it is strongest.`;
    byId("latents-note", HTMLElement).textContent =
      token === undefined
        ? "Latents belong to tokens."
        : `${token.active.length} of ${width} are active at \u201c${visible(token.text)}\u201d, token ${this.#token + 1}, in ${site}. Choose one to follow it.`;
    byId("next-note", HTMLElement).textContent =
      this.steering === null
        ? "After the whole text, by the model."
        : `With ${this.steering.strength} times the direction of latent ${latent} added to all tokens.`;
    byId("next", HTMLTableElement).replaceChildren(...predictionRows(next));
    this.#steering.show(latent, tokens);
  }

  #choose(place: number): void {
    this.#token = place;
    this.#draw();
  }

  #follow(latent: number | null): void {
    const wasSteered = this.steering !== null;
    this.#latent = latent;
    this.#steering.reset();
    this.#draw();
    if (wasSteered) this.#steered();
  }
}

/** Draws anew, and leaves the focus at the same place of the same list, for those who go by the keyboard. */
function keepingFocus(draw: () => void): void {
  const list = document.activeElement?.closest("#tokens, #latents") ?? null;
  const buttons = [...(list?.querySelectorAll("button") ?? [])];
  const place = buttons.findIndex((button) => button === document.activeElement);
  draw();
  list?.querySelectorAll("button")[place]?.focus();
}
