import type { TrainConfig } from "../train/config.ts";
import { totalVariance } from "./reference-step.ts";
import type { ReferenceValues } from "./reference-kinds.ts";

/** What {@link referenceMore} computes the loss of. */
export interface ReferenceMoreStep {
  readonly config: TrainConfig;
  /** `[rows, dIn]`, normalised. */
  readonly x: Float64Array;
  /** `[rows, dOut]`; `x` for autoencoders and crosscoders. */
  readonly target: Float64Array;
  readonly dIn: number;
  readonly variance: number;
  /** lambda. */
  readonly sparsity: number;
  readonly dead?: Uint8Array | null;
  /** AuxK's residual, and the parameters of a stopped gradient (of the gate's decoder, and of crosscoders' selection). */
  readonly frozen?: { readonly values: ReferenceValues; readonly residual: Float64Array } | null;
}

/** The loss of one batch, and which latents are active, by which a kink shows. */
export interface ReferenceMoreResult {
  readonly loss: number;
  readonly active: string;
  /** Target minus output, `[rows, dOut]`. */
  readonly residual: Float64Array;
}

/**
 * The losses of AbsTopK, matching pursuit, crosscoders, and transcoders of any kind in plain f64, row by row, from their definitions and
 * without any of the package's operators, so that it may judge them. Theta has no part in it but as a threshold. Slow.
 */
export function referenceMore(
  values: ReferenceValues,
  step: ReferenceMoreStep,
): ReferenceMoreResult {
  const { config, x, target, dIn, sparsity, variance } = step;
  const { dSae } = config;
  const count = x.length / dIn;
  const dOut = target.length / count;
  const held = step.frozen?.values ?? values;
  const at = (name: string, index: number, from: ReferenceValues = values): number =>
    from[name]?.[index] ?? 0;
  const autoencoder = config.transcoder === null && !("sites" in config);
  const wantedOf = (row: number, from: ReferenceValues): number[] =>
    Array.from({ length: dOut }, (_, c) => {
      let value = target[row * dOut + c] ?? 0;
      for (let column = 0; column < dIn; column++)
        value -= at("skip", c * dIn + column, from) * (x[row * dIn + column] ?? 0);
      return value;
    });
  const rows = Array.from({ length: count }, (_, row) => ({
    inner: Array.from(
      { length: dIn },
      (_none, c) => (x[row * dIn + c] ?? 0) - (autoencoder ? at("decoderBias", c) : 0),
    ),
    wanted: wantedOf(row, values),
  }));
  const active: number[] = [];
  const write = (
    codes: readonly number[],
    bias: boolean,
    from: ReferenceValues = values,
  ): number[] =>
    Array.from({ length: dOut }, (_, c) => {
      let sum = bias ? at("decoderBias", c, from) : 0;
      for (let latent = 0; latent < dSae; latent++)
        sum += (codes[latent] ?? 0) * at("decoder", latent * dOut + c, from);
      return sum;
    });
  const project = (row: number, latent: number): number => {
    let sum = 0;
    for (let c = 0; c < dIn; c++)
      sum += at("encoderRows", latent * dIn + c) * (rows[row]?.inner[c] ?? 0);
    return sum;
  };

  if (config.architecture === "matching_pursuit") {
    const residual = new Float64Array(x.length);
    for (const [row, { inner }] of rows.entries()) {
      let left = [...inner];
      const taken = new Set<number>();
      for (let round = 0; round < (config.maxIterations ?? dIn); round++) {
        const products = Array.from({ length: dSae }, (_, latent) =>
          left.reduce((sum, value, c) => sum + value * at("decoder", latent * dIn + c), 0),
        );
        const best = products.indexOf(Math.max(...products));
        const size = Math.max(0, products[best] ?? 0);
        const again = taken.has(best) || size <= 0;
        if (size > 0) taken.add(best);
        active.push(row * dSae + best);
        left = left.map((value, c) => value - size * at("decoder", best * dIn + c));
        const small = Math.hypot(...left) < config.residualThreshold;
        if ((config.stopOnDuplicateSupport && again) || small) break;
      }
      residual.set(left, row * dIn);
    }
    const loss = residual.reduce((sum, value) => sum + value * value, 0) / count;
    return { loss, active: active.join(), residual };
  }

  const gated = config.architecture === "gated";
  const pre = new Float64Array(count * dSae).map((_, index) => {
    const [row, latent] = [Math.floor(index / dSae), index % dSae];
    const scale = gated ? Math.exp(at("magnitude_scale", latent)) : 1;
    return scale * project(row, latent) + at("encoderBias", latent);
  });
  const gate = gated
    ? pre.map(
        (_, index) =>
          project(Math.floor(index / dSae), index % dSae) + at("gate_bias", index % dSae),
      )
    : null;
  const widths = "sites" in config ? config.sites.map(({ width }) => width) : [dOut];
  const norms = (latent: number, from: ReferenceValues = values): number => {
    let [start, sum] = [latent * dOut, 0];
    for (const width of widths) {
      const own = Array.from({ length: width }, (_, c) => at("decoder", start + c, from));
      sum += Math.hypot(...own);
      start += width;
    }
    return sum;
  };
  const kept = new Set<number>();
  const keep = (scores: readonly (readonly [number, number])[], most: number): void => {
    const order = scores.toSorted(([a, i], [b, j]) => b - a || i - j);
    for (const [, index] of order.slice(0, most)) kept.add(index);
  };
  const entries = [...pre.entries()];
  const byRow = (most: number, score: (value: number) => number): void => {
    for (let row = 0; row < count; row++)
      keep(
        entries
          .slice(row * dSae, (row + 1) * dSae)
          .map(([index, value]) => [score(value), index] as const),
        most,
      );
  };
  switch (config.architecture) {
    case "topk":
      byRow(config.k, (value) => value);
      break;
    case "abstopk":
      byRow(config.k, Math.abs);
      break;
    case "batchtopk":
    case "batchtopk_crosscoder":
      keep(
        entries.map(([index, value]) => {
          const weight = "sites" in config ? norms(index % dSae, held) : 1;
          return [value * weight, index] as const;
        }),
        Math.floor(count * config.k),
      );
      break;
    default:
      for (const [index, value] of entries)
        if (value > at("threshold", index % dSae) && (gate?.[index] ?? 1) > 0) kept.add(index);
  }
  const signed = config.architecture === "abstopk";
  const codes = pre.map((value, index) =>
    kept.has(index) ? (signed ? value : Math.max(0, value)) : 0,
  );
  const codesOf = (all: Float64Array, row: number): number[] => [
    ...all.subarray(row * dSae, (row + 1) * dSae),
  ];
  active.push(...[...codes.keys()].filter((index) => codes[index] !== 0));
  const residual = new Float64Array(count * dOut);
  for (const [row, { wanted }] of rows.entries())
    for (const [c, value] of write(codesOf(codes, row), true).entries())
      residual[row * dOut + c] = (wanted[c] ?? 0) - value;
  const squared = residual.reduce((sum, value) => sum + value * value, 0) / count;
  let loss = squared;
  if ("auxiliaryWeight" in config) loss = squared / variance;
  if (config.architecture === "standard")
    loss += (sparsity * codes.reduce((sum, value) => sum + value, 0)) / count;
  if (config.architecture === "crosscoder")
    loss +=
      (sparsity * codes.reduce((sum, value, index) => sum + value * norms(index % dSae), 0)) /
      count;
  if (config.architecture === "jumprelu") {
    const l0 = rows.map((_, row) => codesOf(codes, row).filter((value) => value > 0).length);
    const mean = l0.reduce((sum, value) => sum + value, 0) / count;
    const aim = config.targetL0 ?? 1;
    loss +=
      sparsity *
      {
        l0: mean,
        quadratic: l0.reduce((sum, value) => sum + (2 / aim) * (value - aim) ** 2, 0) / count,
        relative: (mean / aim - 1) ** 2,
      }[config.penalty];
    for (let latent = 0; latent < dSae; latent++) {
      const fired = codes.filter((value, index) => index % dSae === latent && value > 0).length;
      if (config.frequencyScale !== null)
        loss += (sparsity * (fired / count) ** 2) / config.frequencyScale;
    }
  }
  if (gate !== null) {
    for (const row of rows.keys()) {
      // W_skip is stopped there, as b_dec is.
      const wanted = wantedOf(row, held);
      const open = codesOf(gate, row).map((value) => Math.max(0, value));
      active.push(...open.map((value, latent) => (value > 0 ? -1 - row * dSae - latent : 0)));
      loss += (sparsity * open.reduce((sum, value) => sum + value, 0)) / count;
      for (const [c, value] of write(open, false, held).entries())
        loss += ((wanted[c] ?? 0) - value - at("decoderBias", c, held)) ** 2 / count;
    }
  }
  const { dead } = step;
  if (dead !== undefined && dead !== null && "auxiliaryWeight" in config) {
    const left = step.frozen?.residual ?? residual;
    let missed = 0;
    for (let row = 0; row < count; row++) {
      const own = codesOf(pre, row).map((value, latent) =>
        dead[latent] === 1 ? (signed ? Math.abs(value) : value) : Number.NEGATIVE_INFINITY,
      );
      const order = own
        .map((_, latent) => latent)
        .toSorted((a, b) => (own[b] ?? 0) - (own[a] ?? 0));
      const chosen = new Set(order.slice(0, config.auxiliaryK ?? Math.floor(dOut / 2)));
      const shown = codesOf(pre, row).map((value, latent) =>
        chosen.has(latent) && dead[latent] === 1 ? (signed ? value : Math.max(0, value)) : 0,
      );
      active.push(
        ...shown.flatMap((value, latent) => (value === 0 ? [] : [-1 - row * dSae - latent])),
      );
      for (const [c, value] of write(shown, false).entries())
        missed += (value - (left[row * dOut + c] ?? 0)) ** 2 / count;
    }
    loss += (config.auxiliaryWeight * missed) / totalVariance(left, dOut);
  }
  return { loss, active: active.join(), residual };
}
