import type { ActivationStore, Manifest, Shard } from "@latentkit/activations";
import { Random } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import { type LanguageModel, randomModel } from "@latentkit/models";
import { Sae, type TrainingHistory } from "@latentkit/sae";
import { copyInto, type Device } from "@latentkit/tensor";
import { eigenpairs } from "../principal-components.ts";

/** Sizes of the planted world. */
export const world = { d: 64, n: 160, documents: 24, contextSize: 32, sparse: 40, k: 10 } as const;

/**
 * A world whose answers are known. On an orthonormal basis: axis 0 carries most variance, axis 1 is a weaker signed coordinate,
 * axis 2 a dense coordinate inside the null space of the unembedding, axes 3 to 42 are sparse features. The SAE reads and writes
 * the axes themselves: latents 0 to 5 are the two halves of the three dense axes, 6 to 45 the sparse features, the rest are
 * random rows that never fire. The unembedding's ten weakest directions hold axis 2.
 */
export interface Planted {
  readonly model: LanguageModel;
  readonly sae: Sae;
  readonly store: ActivationStore;
  /** Firings of each latent on unmasked tokens, counted while planting. */
  readonly firings: Float64Array;
  readonly tokens: number;
}

/** Plants the world on a device. The caller disposes model and SAE. */
export function plant(device: Device, seed = 1): Planted {
  const { d, n, documents, contextSize, sparse } = world;
  const random = new Random(seed);
  const basis = orthonormalBasis(d, random);
  const model = randomModel({ device, seed, tokenizer: letterTokenizer(), config: { dModel: d } });
  plantUnembedding(device, model, basis, random);

  const threshold = 0.3;
  const rows = new Float32Array(n * d);
  const directions = [0, 1, 2].flatMap((axis) => [{ axis, sign: 1 }, { axis, sign: -1 }]).concat(Array.from({ length: sparse }, (_, place) => ({ axis: 3 + place, sign: 1 })));
  for (const [latent, { axis, sign }] of directions.entries()) for (let column = 0; column < d; column++) rows[latent * d + column] = sign * (basis[axis]?.[column] ?? 0);
  for (let index = directions.length * d; index < rows.length; index++) rows[index] = random.normal() / Math.sqrt(d);
  const thresholds = new Float32Array(n).fill(threshold);
  thresholds.fill(1e6, directions.length);
  const sae = Sae.fromWeights(device, { architecture: "jumprelu", dIn: d, dSae: n, metadata: { hookName: "blocks.1.hook_resid_post" } }, {
    encoderRows: rows, decoder: rows.slice(), encoderBias: new Float32Array(n), decoderBias: new Float32Array(d), threshold: thresholds,
  });

  const size = documents * 2 * contextSize;
  const activations = new Float32Array(size * d);
  const firings = new Float64Array(n);
  const masks = new Uint8Array(size);
  let tokens = 0;
  for (let row = 0; row < size; row++) {
    const coordinates = Array.from({ length: 3 + sparse }, (_, axis) => (axis < 3 ? ([4, 1.2, 1][axis] ?? 0) * random.normal() : random.uniform() < 0.03 ? 1 + random.uniform() : 0));
    if (row % contextSize === 0) {
      // An attention sink: counted anywhere, it would be the first principal component.
      masks[row] = 1;
      coordinates[50 - 3] = 900;
    } else {
      tokens++;
      for (const [latent, { axis, sign }] of directions.entries()) if (sign * (coordinates[axis] ?? 0) > threshold) firings[latent] = (firings[latent] ?? 0) + 1;
    }
    for (const [axis, amount] of coordinates.entries()) {
      if (amount === undefined || amount === 0) continue;
      for (let column = 0; column < d; column++) activations[row * d + column] = (activations[row * d + column] ?? 0) + amount * (basis[axis]?.[column] ?? 0);
    }
  }
  return { model, sae, store: memoryStore(model, activations, masks, random), firings, tokens };
}

/** A history that had settled, or whose dense count was still falling. */
export function historyOf(settled: boolean): TrainingHistory {
  const point = (step: number): TrainingHistory["points"][number] => ({
    step, presentations: 64 * step, uniqueTokens: 64 * step, loss: 1, l0: 5, fvu: 0.2, heldOutL0: 5, heldOutFvu: 0.21, denseCount: settled ? 6 : 200 - 2 * step, deadCount: 0,
  });
  const config = { recipe: "short-run", steps: 80, batchSize: 64 };
  // Only the fields that stability and the report read: the full training configuration has no part in them.
  return { schemaVersion: 1, recipe: "short-run", config, uniqueTokens: 5120, presentations: 5120, inputScale: 1, points: [20, 40, 60, 64, 80].map(point), backend: { name: "reference", matmul: "f64", threads: 1, build: "" } } as unknown as TrainingHistory;
}

function orthonormalBasis(d: number, random: Random): Float64Array[] {
  const rows = Float64Array.from({ length: d * d }, () => random.normal());
  const gram = new Float64Array(d * d);
  for (let i = 0; i < d; i++) for (let j = 0; j < d; j++) for (let k = 0; k < d; k++) gram[i * d + j] = (gram[i * d + j] ?? 0) + (rows[i * d + k] ?? 0) * (rows[j * d + k] ?? 0);
  return eigenpairs(gram, d).vectors;
}

/** Rows of W_U with axis 2 and nine unused axes scaled to nearly nothing. */
function plantUnembedding(device: Device, model: LanguageModel, basis: readonly Float64Array[], random: Random): void {
  const { d } = world;
  const weak = new Set([2, 55, 56, 57, 58, 59, 60, 61, 62, 63]);
  const data = new Float32Array(model.config.vocabulary * d);
  for (let token = 0; token < model.config.vocabulary; token++) {
    for (let axis = 0; axis < d; axis++) {
      const amount = random.normal() * (weak.has(axis) ? 0.01 : 1);
      for (let column = 0; column < d; column++) data[token * d + column] = (data[token * d + column] ?? 0) + amount * (basis[axis]?.[column] ?? 0);
    }
  }
  using planted = device.tensor(data, [model.config.vocabulary, d]);
  copyInto(planted, model.unembedding(), { axis: 0, start: 0 });
}

/** Tokens are a letter and a number; ids 250 to 255 are special. */
function letterTokenizer(): Tokenizer {
  const text = (id: number): string => (id >= 250 ? `<special-${id}>` : ` ${String.fromCodePoint(97 + (id % 5))}${id}`);
  return {
    vocabularySize: 256,
    specialTokens: { bos: null, eos: null, pad: null, all: new Map(Array.from({ length: 6 }, (_, place) => [text(250 + place), 250 + place])) },
    chatTemplate: null,
    identity: "letters",
    encode: () => ({ ids: new Int32Array(0), starts: new Int32Array(0), ends: new Int32Array(0) }),
    decode: (ids) => Array.from(ids, text).join(""),
    tokenText: text,
    tokenId: () => null,
  };
}

/** A store in memory: two shards, cut between documents. */
function memoryStore(model: LanguageModel, activations: Float32Array, masks: Uint8Array, random: Random): ActivationStore {
  const { d, documents, contextSize } = world;
  const size = masks.length;
  const half = (documents / 2) * 2 * contextSize;
  const ids = Int32Array.from({ length: size }, () => random.integer(250));
  const kept = (from: number, to: number): number => masks.subarray(from, to).filter((mask) => mask === 0).length;
  const record = (from: number, to: number): Shard["record"] => ({
    file: `${from}.safetensors`, split: "held-out", bytes: 0, sha256: "0".repeat(64), inputSha256: "0".repeat(64), contexts: (to - from) / contextSize, tokens: to - from, kept: kept(from, to),
    masked: { firstPosition: to - from - kept(from, to), padding: 0, normOutlier: 0 },
  });
  const bounds = [[0, half], [half, size]] as const;
  const shard = (index: number): Shard => {
    const [from, to] = bounds[index] ?? [0, 0];
    const at = (value: (row: number) => number): Int32Array => Int32Array.from({ length: to - from }, (_, row) => value(from + row));
    return {
      record: record(from, to), activations: activations.slice(from * d, to * d), tokens: ids.slice(from, to), masks: masks.slice(from, to),
      documents: at((row) => Math.floor(row / (2 * contextSize))), contexts: at((row) => Math.floor(row / contextSize)), positions: at((row) => row % contextSize),
      starts: at(() => 0), ends: at(() => 0), roles: new Uint8Array(to - from), turns: at(() => -1),
    };
  };
  const counts = { contexts: size / contextSize, tokens: size, kept: kept(0, size), masked: { firstPosition: size - kept(0, size), padding: 0, normOutlier: 0 } };
  const none = { contexts: 0, tokens: 0, kept: 0, masked: { firstPosition: 0, padding: 0, normOutlier: 0 } };
  const { name, architecture, weightsHash } = model.identity();
  const manifest: Manifest = {
    schemaVersion: 1, kind: "activations", model: { name, architecture, weightsHash }, site: "blocks.1.hook_resid_post", dIn: d, tokenizer: { identity: "letters", vocabularySize: 256 }, dtype: "f32",
    packing: { packing: "documents", contextSize, prependBos: false, minimumTokens: 2, documentTokens: null }, mask: { maskFirstPosition: true, maximumNormRatio: 10, calibrationContexts: 4, medianNorm: 5 },
    split: { heldOut: 1, seed: 0 }, batchSize: 4, contextsPerShard: 24, maximumTokens: null, backend: { name: "reference", matmul: "f64", threads: 1, build: "" }, versions: { "@latentkit/activations": "0.0.0" },
    roles: [], documents: { file: "documents.jsonl", sha256: "0".repeat(64), count: documents, empty: 0, droppedTokens: 0, inputSha256: "ab".repeat(32), exhausted: true },
    counts: { ...counts, splits: { train: none, "held-out": counts } }, shards: bounds.map(([from, to]) => record(from, to)),
  };
  return {
    name: "planted", manifest, dIn: d, shards: (split) => (split === "train" ? [] : [0, 1]), readShard: (index) => Promise.resolve(shard(index)), readTokens: (index) => Promise.resolve(shard(index)),
    readDocuments: () => Promise.resolve(Array.from({ length: documents }, (_, index) => ({ index, id: `document-${index}`, split: "held-out" as const, tokens: 2 * contextSize, contexts: 2 }))),
  };
}
