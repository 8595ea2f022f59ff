/** More documents than this share a place by remainder: the intervals stay honest, memory stays bounded. */
const maximumUnits = 4096;

/** Sums by document, `[count]` each. */
export interface PerDocument {
  /** Documents, or groups of them; 0 where rows came without. */
  readonly count: number;
  readonly tokens: Float64Array;
  readonly active: Float64Array;
  readonly squaredError: Float64Array;
  /** Sum of ||x - mean||^2 about the mean of all tokens. */
  readonly variance: Float64Array;
  /** The same over all tokens. */
  readonly totalVariance: number;
  /** Mean of all tokens, `[dIn]`. */
  readonly mean: Float32Array;
}

interface Unit {
  tokens: number;
  active: number;
  squaredError: number;
  squares: number;
  readonly sums: Float64Array;
}

/** What intervals over documents need, gathered token by token. */
export class DocumentSums {
  readonly #dIn: number;
  readonly #units = new Map<number, Unit>();
  #shift: Float64Array | null = null;
  #known = true;

  constructor(dIn: number) {
    this.#dIn = dIn;
  }

  /** Takes one token; `document` is null where it is not known. */
  add(document: number | null, x: Float32Array, squaredError: number, active: number): void {
    if (document === null) this.#known = false;
    const key = (document ?? 0) % maximumUnits;
    let unit = this.#units.get(key);
    if (unit === undefined) {
      unit = {
        tokens: 0,
        active: 0,
        squaredError: 0,
        squares: 0,
        sums: new Float64Array(this.#dIn),
      };
      this.#units.set(key, unit);
    }
    // Sums about the first token, so that a large mean does not eat the digits.
    this.#shift ??= Float64Array.from(x);
    const shift = this.#shift;
    const { sums } = unit;
    let squares = 0;
    for (let column = 0; column < sums.length; column++) {
      const value = (x[column] ?? 0) - (shift[column] ?? 0);
      sums[column] = (sums[column] ?? 0) + value;
      squares += value * value;
    }
    unit.squares += squares;
    unit.tokens += 1;
    unit.active += active;
    unit.squaredError += squaredError;
  }

  finish(): PerDocument {
    const units = [...this.#units.values()];
    const tokens = units.reduce((sum, unit) => sum + unit.tokens, 0);
    const shifted = new Float64Array(this.#dIn);
    for (const { sums } of units)
      for (let column = 0; column < sums.length; column++)
        shifted[column] = (shifted[column] ?? 0) + (sums[column] ?? 0) / tokens;
    const meanSquare = shifted.reduce((sum, value) => sum + value * value, 0);
    const variance = units.map((unit) => {
      const along = unit.sums.reduce(
        (sum, value, column) => sum + value * (shifted[column] ?? 0),
        0,
      );
      return unit.squares - 2 * along + unit.tokens * meanSquare;
    });
    return {
      count: this.#known ? units.length : 0,
      tokens: Float64Array.from(units, (unit) => unit.tokens),
      active: Float64Array.from(units, (unit) => unit.active),
      squaredError: Float64Array.from(units, (unit) => unit.squaredError),
      variance: Float64Array.from(variance),
      totalVariance: variance.reduce((sum, value) => sum + value, 0),
      mean: Float32Array.from(shifted, (value, column) => value + (this.#shift?.[column] ?? 0)),
    };
  }
}
