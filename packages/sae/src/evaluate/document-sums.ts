/** More documents than this share a place by remainder: the intervals stay honest, memory stays bounded. */
const maximumUnits = 4096;

/** Sums over tokens that are kept for each document. */
const figureNames = [
  "tokens",
  "active",
  "squaredError",
  "squaredOutput",
  "product",
  "l2Ratio",
  "cosine",
  "legacyRatio",
] as const;

/** One of the sums. */
export type TokenFigure = (typeof figureNames)[number];

/** What one token adds to its document's sums; `tokens` is 1. */
export type TokenFigures = Readonly<Record<Exclude<TokenFigure, "tokens">, number>>;

/** Tokens of some context positions: `first` to `last`, both inclusive. */
export interface PositionSums {
  readonly first: number;
  readonly last: number;
  /** By document, as the arrays of {@link PerDocument}. */
  readonly tokens: Float64Array;
  readonly squaredError: Float64Array;
}

/** Sums by document, `[count]` each. */
export interface PerDocument {
  /** Documents, or groups of them; 0 where rows came without. */
  readonly count: number;
  readonly sums: Readonly<Record<TokenFigure, Float64Array>>;
  /** The same over all tokens. */
  readonly totals: Readonly<Record<TokenFigure, number>>;
  /** Sum of ||x - mean||^2 about the mean of all tokens. */
  readonly variance: Float64Array;
  /** The same over all tokens. */
  readonly totalVariance: number;
  /** Mean of all tokens, `[dIn]`. */
  readonly mean: Float32Array;
  /** By doubling ranges of positions; empty where rows came without. */
  readonly positions: readonly PositionSums[];
}

interface Unit {
  readonly figures: Float64Array;
  squares: number;
  readonly sums: Float64Array;
  /** Tokens and squared error in turns, by range of positions. */
  readonly positions: number[];
}

/** What intervals over documents need, gathered token by token. */
export class DocumentSums {
  readonly #dIn: number;
  readonly #units = new Map<number, Unit>();
  #shift: Float64Array | null = null;
  #known = true;
  #positioned = true;

  constructor(dIn: number) {
    this.#dIn = dIn;
  }

  /** Takes one token; `document` and `position` are null where they are not known. */
  add(
    document: number | null,
    position: number | null,
    x: Float32Array,
    figures: TokenFigures,
  ): void {
    if (document === null) this.#known = false;
    const unit = this.#unit((document ?? 0) % maximumUnits);
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
    for (const [index, name] of figureNames.entries())
      unit.figures[index] = (unit.figures[index] ?? 0) + (name === "tokens" ? 1 : figures[name]);
    if (position === null) this.#positioned = false;
    else {
      const place = 2 * rangeOf(position);
      unit.positions[place] = (unit.positions[place] ?? 0) + 1;
      unit.positions[place + 1] = (unit.positions[place + 1] ?? 0) + figures.squaredError;
    }
  }

  finish(): PerDocument {
    const units = [...this.#units.values()];
    // Object.fromEntries forgets that the keys are those of the list.
    const sums = Object.fromEntries(
      figureNames.map((name, index) => [
        name,
        Float64Array.from(units, ({ figures }) => figures[index] ?? 0),
      ]),
    ) as Record<TokenFigure, Float64Array>;
    // The same here.
    const totals = Object.fromEntries(
      figureNames.map((name) => [name, total(sums[name])]),
    ) as Record<TokenFigure, number>;
    const { tokens } = totals;
    const shifted = new Float64Array(this.#dIn);
    for (const unit of units)
      for (let column = 0; column < shifted.length; column++)
        shifted[column] = (shifted[column] ?? 0) + (unit.sums[column] ?? 0) / tokens;
    const meanSquare = shifted.reduce((sum, value) => sum + value * value, 0);
    const variance = Float64Array.from(units, (unit) => {
      const along = unit.sums.reduce(
        (sum, value, column) => sum + value * (shifted[column] ?? 0),
        0,
      );
      return unit.squares - 2 * along + (unit.figures[0] ?? 0) * meanSquare;
    });
    return {
      count: this.#known ? units.length : 0,
      sums,
      totals,
      variance,
      totalVariance: total(variance),
      mean: Float32Array.from(shifted, (value, column) => value + (this.#shift?.[column] ?? 0)),
      positions: this.#positioned ? positionSums(units) : [],
    };
  }

  #unit(key: number): Unit {
    const known = this.#units.get(key);
    if (known !== undefined) return known;
    const unit: Unit = {
      figures: new Float64Array(figureNames.length),
      squares: 0,
      sums: new Float64Array(this.#dIn),
      positions: [],
    };
    this.#units.set(key, unit);
    return unit;
  }
}

/** Ranges 0, 1, 2-3, 4-7, ...: the index of the one that a position is in. */
function rangeOf(position: number): number {
  return position <= 0 ? 0 : 32 - Math.clz32(position);
}

function positionSums(units: readonly Unit[]): PositionSums[] {
  const ranges = Math.max(0, ...units.map(({ positions }) => Math.ceil(positions.length / 2)));
  return Array.from({ length: ranges }, (_, range) => ({
    first: range === 0 ? 0 : 2 ** (range - 1),
    last: range === 0 ? 0 : 2 ** range - 1,
    tokens: Float64Array.from(units, ({ positions }) => positions[2 * range] ?? 0),
    squaredError: Float64Array.from(units, ({ positions }) => positions[2 * range + 1] ?? 0),
  })).filter(({ tokens }) => total(tokens) > 0);
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
