import type { ActivationBatches } from "@latentkit/activations";
import { MismatchError, Random } from "@latentkit/core";
import { z } from "zod";
import {
  type FeatureTree,
  parseSyntheticWorld,
  type SyntheticWorldConfig,
  type SyntheticWorldInput,
} from "./config.ts";
import { correlated, type FiringSampler, independent } from "./copula.ts";
import { orthogonalise, randomDirections } from "./directions.ts";
import { type Forest, forestOf } from "./hierarchy.ts";
import { perFeature } from "./per-feature.ts";

/** Rows of a world. */
export interface SyntheticRows {
  /** Magnitude of each feature, 0 where it does not fire, `[rows, features]`. */
  readonly features: Float32Array<ArrayBuffer>;
  /** Their sum along the features' directions, `[rows, dIn]`. */
  readonly activations: Float32Array<ArrayBuffer>;
}

/** Rows that are drawn from one generator: a stream can be entered at any multiple of it. */
const chunkRows = 256;
/** Streams of random numbers, apart from each other. */
const [worldStream, sampleStream] = [0x5e7, 0x1_0000];

/**
 * A world of features with known directions, probabilities and magnitudes, whose activations an SAE may be trained on and judged by: what
 * it found can be compared with what is there. With correlated firing, hierarchies and magnitudes as SAELens's synthetic module has them.
 * The same configuration gives the same rows everywhere, up to the last digits of `Math.log` and `Math.cos`.
 *
 * @example
 * const world = new SyntheticWorld({ features: 64, dIn: 32, firing: { kind: "zipf", exponent: 0.5, start: 0.2, end: 0.02 } });
 * const heldOut = world.sample(2048, 1);
 * const { sae } = await trainSae({ device, config, batches: world.batches(0), heldOut: heldOut.activations });
 * const { mcc, f1, l0 } = await evaluateOnWorld(sae, world, heldOut);
 */
export class SyntheticWorld {
  readonly config: SyntheticWorldConfig;
  /** Unit rows `[features, dIn]`. */
  readonly directions: Float64Array;
  /** Added to every activation, `[dIn]`. */
  readonly bias: Float64Array;
  /** Probabilities of firing as the configuration has them, `[features]`. */
  readonly probabilities: Float64Array;
  /** Which features depend on which; empty without a hierarchy. */
  readonly trees: readonly FeatureTree[];
  readonly #means: Float64Array;
  readonly #deviations: Float64Array;
  readonly #fire: FiringSampler;
  readonly #forest: Forest | null;

  /** @throws ConfigError `SYNTHETIC_CONFIG` */
  constructor(config: SyntheticWorldInput) {
    this.config = parseSyntheticWorld(config);
    const { features, dIn, seed, correlation, hierarchy } = this.config;
    const random = new Random(seed, worldStream);
    const range = (least: number, most: number) => ({ random, least, most });
    this.directions = randomDirections(features, dIn, random);
    if (this.config.directions === "orthogonalised") orthogonalise(this.directions, dIn);
    const bias = randomDirections(1, dIn, random);
    this.bias = bias.map((value) => this.config.biasNorm * value);
    this.probabilities = perFeature("firing", this.config.firing, features, range(0, 1));
    this.#means = perFeature("magnitude", this.config.magnitude, features, range(0, 1e6));
    this.#deviations = perFeature("deviation", this.config.deviation, features, range(0, 1e6));
    this.#forest = hierarchy === null ? null : forestOf(hierarchy, features, random);
    this.trees = this.#forest?.trees ?? [];
    const factors =
      hierarchy?.compensate === true ? this.#forest?.corrections(this.probabilities) : undefined;
    const drawn = this.probabilities.map((p, feature) =>
      Math.min(1, p * (factors?.[feature] ?? 1)),
    );
    this.#fire = correlation === null ? independent(drawn) : correlated(drawn, correlation, random);
  }

  /** The first `rows` of one of the world's streams; streams are independent of each other. */
  sample(rows: number, stream: number): SyntheticRows {
    const { features, dIn } = this.config;
    const result = {
      features: new Float32Array(rows * features),
      activations: new Float32Array(rows * dIn),
    };
    for (let start = 0; start < rows; start += chunkRows) {
      const chunk = this.#chunk(stream, start / chunkRows, Math.min(chunkRows, rows - start));
      result.features.set(chunk.features, start * features);
      result.activations.set(chunk.activations, start * dIn);
    }
    return result;
  }

  /** An endless stream of activations that never repeats, for training. It may be restored, in this process or another. */
  batches(stream: number): ActivationBatches {
    const { dIn } = this.config;
    const schema = z.object({ stream: z.literal(stream), rows: z.int().nonnegative() });
    let position = 0;
    let held: { readonly index: number; readonly rows: Float32Array } | null = null;
    const chunk = (index: number): Float32Array => {
      held =
        held?.index === index
          ? held
          : { index, rows: this.#chunk(stream, index, chunkRows).activations };
      return held.rows;
    };
    return {
      dIn,
      uniqueTokens: Number.POSITIVE_INFINITY,
      next(batchSize) {
        const batch = new Float32Array(batchSize * dIn);
        for (let row = 0; row < batchSize;) {
          const within = position % chunkRows;
          const count = Math.min(chunkRows - within, batchSize - row);
          const rows = chunk((position - within) / chunkRows);
          batch.set(rows.subarray(within * dIn, (within + count) * dIn), row * dIn);
          row += count;
          position += count;
        }
        return Promise.resolve(batch);
      },
      state: () => ({ stream, rows: position }),
      restore(state) {
        const parsed = schema.safeParse(state);
        if (!parsed.success) {
          throw new MismatchError({
            code: "BATCHES_STATE",
            message: `${JSON.stringify(state)} is no state of stream ${stream} of a synthetic world`,
            fix: "resume with the stream that the checkpoint was written with",
          });
        }
        position = parsed.data.rows;
      },
    };
  }

  #chunk(stream: number, index: number, rows: number): SyntheticRows {
    const { features, dIn, seed, hierarchy } = this.config;
    const random = new Random(seed, sampleStream + 65_536 * stream + index);
    const fired = new Uint8Array(features);
    const row = new Float64Array(features);
    const sum = new Float64Array(dIn);
    const result = {
      features: new Float32Array(rows * features),
      activations: new Float32Array(rows * dIn),
    };
    const means = hierarchy?.scaleByParent === true ? this.#means : null;
    for (let at = 0; at < rows; at++) {
      this.#fire(random, fired);
      for (const [feature, fires] of fired.entries())
        row[feature] = fires === 0 ? 0 : this.#magnitude(feature, random);
      this.#forest?.apply(row, random, means);
      sum.set(this.bias);
      for (const [feature, magnitude] of row.entries()) {
        if (magnitude === 0) continue;
        for (let column = 0; column < dIn; column++)
          sum[column] =
            (sum[column] ?? 0) + magnitude * (this.directions[feature * dIn + column] ?? 0);
      }
      result.features.set(row, at * features);
      result.activations.set(sum, at * dIn);
    }
    return result;
  }

  #magnitude(feature: number, random: Random): number {
    const deviation = this.#deviations[feature] ?? 0;
    const moved = deviation === 0 ? 0 : deviation * random.normal();
    return Math.max(0, (this.#means[feature] ?? 0) + moved);
  }
}
