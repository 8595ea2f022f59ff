import { philox4x32 } from "@latentkit/core";
import { type ValueHistogram, ValueHistograms } from "./value-histograms.ts";

/** What a collector keeps, and for which latents. */
export interface CollectorPlan {
  /** Ascending. */
  readonly latents: readonly number[];
  /** Tokens in a window. */
  readonly windowTokens: number;
  /** Windows kept for the strongest activations of each latent. */
  readonly top: number;
  /** Windows kept for each latent as a uniform sample of those in which it fires. */
  readonly sample: number;
  /** Windows kept as a uniform sample of all, in which most latents are silent. */
  readonly background: number;
  readonly seed: number;
}

/** A stretch of one context. */
export interface TextWindow {
  /** Count over the whole text, in order. */
  readonly number: number;
  readonly document: number;
  readonly context: number;
  /** Position of its first token in the context. */
  readonly start: number;
  readonly tokens: Int32Array;
}

/** A window with one latent's activations: 0 where it does not fire, and at masked tokens. */
export interface LatentWindow extends TextWindow {
  readonly values: Float32Array;
  /** The largest of them. */
  readonly maximum: number;
}

/** What was gathered about one latent. */
export interface LatentExamples {
  readonly latent: number;
  /** Unmasked tokens on which it fired. */
  readonly firedTokens: number;
  readonly firedWindows: number;
  /** Sum of its activations. */
  readonly sum: number;
  readonly maximum: number;
  readonly histogram: ValueHistogram;
  /** Strongest first; of equals the earlier. */
  readonly top: readonly LatentWindow[];
  /** A uniform sample of the windows in which it fires, in order of the text; may share windows with `top`. */
  readonly sample: readonly LatentWindow[];
}

/** A window of the background, with the latents (of those that are gathered) that fire in it. */
export interface BackgroundWindow extends TextWindow {
  readonly firing: ReadonlySet<number>;
}

/** The parts of a collector's state, as they are saved. */
export interface CollectorState {
  readonly counts: { tokens: number; windows: number };
  readonly firedTokens: Int32Array;
  readonly firedWindows: Int32Array;
  readonly sums: Float64Array;
  readonly histograms: ValueHistograms;
  readonly kept: Readonly<Record<"sample" | "top", KeptWindows>>;
  readonly background: Int32Array;
  /** Latents' places that fire in each window of the background. */
  readonly backgroundFiring: (readonly number[])[];
  readonly windows: Map<number, StoredWindow>;
}

/** Windows kept for latents: `[latents, slots]`, -1 for none. */
export interface KeptWindows {
  readonly slots: number;
  readonly windows: Int32Array;
  readonly maxima: Float32Array;
  /** `[latents, slots, windowTokens]`. */
  readonly values: Float32Array;
}

/** A window that somebody keeps. */
export interface StoredWindow extends TextWindow {
  /** By how many places it is kept. */
  uses: number;
}

/** Gathers windows latent by latent in memory that does not grow with the text. */
export class ExampleCollector {
  readonly plan: CollectorPlan;
  readonly state: CollectorState;
  readonly #words = new Uint32Array(4);

  constructor(plan: CollectorPlan, state: CollectorState = emptyState(plan)) {
    this.plan = plan;
    this.state = state;
  }

  /**
   * Takes one window.
   *
   * @param unmasked tokens of it that count
   * @param firing by place in `plan.latents`: activations of the window's tokens, at least one above 0
   */
  add(
    window: Omit<TextWindow, "number">,
    unmasked: number,
    firing: ReadonlyMap<number, Float32Array>,
  ): void {
    const { counts } = this.state;
    const number = counts.windows++;
    counts.tokens += unmasked;
    const whole = { ...window, number, uses: 0 };
    this.#background(whole, firing);
    for (const [place, values] of firing) this.#latent(whole, place, values);
    if (whole.uses > 0) this.state.windows.set(number, whole);
  }

  /** Everything about the latent at a place of `plan.latents`. */
  latent(place: number): LatentExamples {
    const { firedTokens, firedWindows, sums, histograms, kept } = this.state;
    const top = this.#read(kept.top, place);
    return {
      latent: this.plan.latents[place] ?? -1,
      firedTokens: firedTokens[place] ?? 0,
      firedWindows: firedWindows[place] ?? 0,
      sum: sums[place] ?? 0,
      maximum: top[0]?.maximum ?? 0,
      histogram: histograms.read(place),
      top,
      sample: this.#read(kept.sample, place).toSorted((a, b) => a.number - b.number),
    };
  }

  /** The background, in order of the text. */
  background(): BackgroundWindow[] {
    const { background, backgroundFiring, windows } = this.state;
    const found: BackgroundWindow[] = [];
    for (const [slot, number] of background.entries()) {
      const window = windows.get(number);
      if (window === undefined) continue;
      const firing = new Set(
        (backgroundFiring[slot] ?? []).map((place) => this.plan.latents[place] ?? -1),
      );
      found.push({ ...textWindow(window), firing });
    }
    return found.toSorted((a, b) => a.number - b.number);
  }

  #latent(window: StoredWindow, place: number, values: Float32Array): void {
    const { firedTokens, firedWindows, sums, histograms, kept } = this.state;
    let maximum = 0;
    for (const value of values) {
      if (!(value > 0)) continue;
      firedTokens[place] = (firedTokens[place] ?? 0) + 1;
      sums[place] = (sums[place] ?? 0) + value;
      histograms.add(place, value);
      maximum = Math.max(maximum, value);
    }
    const seen = firedWindows[place] ?? 0;
    firedWindows[place] = seen + 1;
    const { top, sample } = kept;
    const rank = rankOf(top, place, maximum);
    if (rank < top.slots) {
      this.#release(top, place, top.slots - 1);
      shiftDown(top, place, rank, this.plan.windowTokens);
      this.#keep(top, place, rank, window, values, maximum);
    }
    // Algorithm R (Vitter 1985): the n-th of the stream stays with probability slots / n.
    const slot =
      seen < sample.slots ? seen : this.#below(seen + 1, seen, this.plan.latents[place] ?? 0);
    if (slot < sample.slots) {
      this.#release(sample, place, slot);
      this.#keep(sample, place, slot, window, values, maximum);
    }
  }

  #background(window: StoredWindow, firing: ReadonlyMap<number, Float32Array>): void {
    const { background, backgroundFiring } = this.state;
    const slot =
      window.number < background.length
        ? window.number
        : this.#below(window.number + 1, window.number, backgroundStream);
    if (slot >= background.length) return;
    this.#drop(background[slot] ?? -1);
    background[slot] = window.number;
    backgroundFiring[slot] = [...firing.keys()];
    window.uses += 1;
  }

  /** A number below `bound`, which depends on the seed, the stream and the count alone: resuming needs no generator's state. */
  #below(bound: number, count: number, stream: number): number {
    philox4x32(
      Uint32Array.of(count, 0, 0, 0),
      Uint32Array.of(this.plan.seed >>> 0, stream >>> 0),
      this.#words,
    );
    return Math.floor(((this.#words[0] ?? 0) / 2 ** 32) * bound);
  }

  #keep(
    kept: KeptWindows,
    place: number,
    slot: number,
    window: StoredWindow,
    values: Float32Array,
    maximum: number,
  ): void {
    const at = place * kept.slots + slot;
    kept.windows[at] = window.number;
    kept.maxima[at] = maximum;
    kept.values.fill(0, at * this.plan.windowTokens, (at + 1) * this.plan.windowTokens);
    kept.values.set(values, at * this.plan.windowTokens);
    window.uses += 1;
  }

  #release(kept: KeptWindows, place: number, slot: number): void {
    this.#drop(kept.windows[place * kept.slots + slot] ?? -1);
  }

  #drop(number: number): void {
    const window = this.state.windows.get(number);
    if (window === undefined) return;
    window.uses -= 1;
    if (window.uses === 0) this.state.windows.delete(number);
  }

  #read(kept: KeptWindows, place: number): LatentWindow[] {
    const found: LatentWindow[] = [];
    for (let slot = 0; slot < kept.slots; slot++) {
      const at = place * kept.slots + slot;
      const window = this.state.windows.get(kept.windows[at] ?? -1);
      if (window === undefined) continue;
      const first = at * this.plan.windowTokens;
      found.push({
        ...textWindow(window),
        values: kept.values.slice(first, first + window.tokens.length),
        maximum: kept.maxima[at] ?? 0,
      });
    }
    return found;
  }
}

/** Keeps the background's random numbers apart from every latent's. */
const backgroundStream = 0xffff_ffff;

function textWindow({ number, document, context, start, tokens }: TextWindow): TextWindow {
  return { number, document, context, start, tokens };
}

/** Where a maximum goes among the strongest of a latent: after equal ones, which came earlier. */
function rankOf({ slots, windows, maxima }: KeptWindows, place: number, maximum: number): number {
  let rank = slots;
  while (rank > 0) {
    const at = place * slots + rank - 1;
    if ((windows[at] ?? -1) >= 0 && (maxima[at] ?? 0) >= Math.fround(maximum)) break;
    rank -= 1;
  }
  return rank;
}

/** Moves what is at `rank` and after it one slot down; the last is lost. */
function shiftDown(kept: KeptWindows, place: number, rank: number, width: number): void {
  const [first, end] = [place * kept.slots + rank, (place + 1) * kept.slots - 1];
  kept.windows.copyWithin(first + 1, first, end);
  kept.maxima.copyWithin(first + 1, first, end);
  kept.values.copyWithin((first + 1) * width, first * width, end * width);
}

/** A collector's state before the first window. */
function emptyState({
  latents,
  windowTokens,
  top,
  sample,
  background,
}: CollectorPlan): CollectorState {
  const kept = (slots: number): KeptWindows => ({
    slots,
    windows: new Int32Array(latents.length * slots).fill(-1),
    maxima: new Float32Array(latents.length * slots),
    values: new Float32Array(latents.length * slots * windowTokens),
  });
  return {
    counts: { tokens: 0, windows: 0 },
    firedTokens: new Int32Array(latents.length),
    firedWindows: new Int32Array(latents.length),
    sums: new Float64Array(latents.length),
    histograms: new ValueHistograms(latents.length),
    kept: { top: kept(top), sample: kept(sample) },
    background: new Int32Array(background).fill(-1),
    backgroundFiring: Array.from({ length: background }, () => []),
    windows: new Map(),
  };
}
