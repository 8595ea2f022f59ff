import { ConfigError, formatShape, sameShape, ShapeError } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import {
  add,
  copyInto,
  type Device,
  noGrad,
  permute,
  StoredWeight,
  type Tensor,
} from "@latentkit/tensor";
import { TokenBatch } from "./batch.ts";
import type { ModelConfig } from "./config.ts";
import type { AttentionOutput, BoundFamily, ParameterSpec, Weight } from "./families/family.ts";
import { families } from "./families/index.ts";
import type { GeneratedToken } from "./generation/continuation.ts";
import { generate, type GenerateOptions } from "./generation/generate.ts";
import { HookRun } from "./hook-run.ts";
import { KvCache } from "./kv-cache.ts";
import { type RunOptions, type RunResult, runResult } from "./run-options.ts";
import { blockSite, type Site, type SiteName, SiteTable } from "./sites.ts";
import { disposeParameters, type Parameters } from "./weights.ts";

/** What makes results comparable: written into every artefact that a model's activations went into. */
export interface ModelIdentity {
  readonly name: string;
  readonly architecture: string;
  /** SHA-256 over the stored weights, or a description of the seed for random weights. */
  readonly weightsHash: string;
}

/** What a {@link LanguageModel} is made of. */
export interface LanguageModelParts {
  readonly identity: ModelIdentity;
  readonly config: ModelConfig;
  readonly device: Device;
  readonly tokenizer: Tokenizer | null;
  /** Owned by the model from here on, unless they are borrowed. */
  readonly parameters: Parameters;
  /** Whether the parameters stay somebody else's; false by default. */
  readonly borrowed?: boolean | undefined;
  /** Of borrowed parameters those that are the model's own all the same. */
  readonly owned?: readonly Weight[] | undefined;
}

/** Options of {@link LanguageModel.withWeights}. */
export interface WithWeightsOptions {
  /** Whether the view frees the overrides with itself, which otherwise stay the caller's; false by default. */
  readonly owned?: boolean | undefined;
  /** Whether a tied weight is replaced under all of its names, or only where it is named; true by default. */
  readonly tied?: boolean | undefined;
}

/**
 * A language model on a device, with raw weights (nothing folded or centred) and TransformerLens's site names.
 *
 * Made by `loadModel` or `randomModel`; whoever made it disposes it. The device stays the caller's.
 */
export class LanguageModel implements Disposable {
  readonly name: string;
  readonly config: ModelConfig;
  readonly device: Device;
  readonly tokenizer: Tokenizer | null;
  readonly #identity: ModelIdentity;
  readonly #sites: SiteTable;
  readonly #parameters: Parameters;
  readonly #borrowed: boolean;
  readonly #owned: readonly Weight[];
  /** f32 copies of stored weights that somebody asked for. */
  readonly #dequantized = new Map<StoredWeight, Tensor>();
  readonly #forward: BoundFamily;
  readonly #specs: ReadonlyMap<string, ParameterSpec>;
  /** Of a family whose norms count their weights from 1. */
  #finalNormWeight: Tensor | null = null;

  constructor(parts: LanguageModelParts) {
    this.name = parts.identity.name;
    this.config = parts.config;
    this.device = parts.device;
    this.tokenizer = parts.tokenizer;
    this.#identity = parts.identity;
    this.#sites = new SiteTable(parts.config);
    this.#parameters = parts.parameters;
    this.#borrowed = parts.borrowed ?? false;
    this.#owned = parts.owned ?? [];
    const family = families[parts.config.architecture];
    this.#specs = new Map(family.parameters(parts.config).map((spec) => [spec.name, spec]));
    this.#forward = family.bind(
      parts.config,
      { matrix: (name) => this.weight(name), vector: (name) => this.parameter(name) },
      parts.device,
    );
  }

  identity(): ModelIdentity {
    return this.#identity;
  }

  /** Every place that can be captured and edited, in forward order. */
  sites(): readonly Site[] {
    return this.#sites.sites;
  }

  /** @throws ConfigError `SITE_UNKNOWN`, with the nearest name there is */
  site(name: SiteName | (string & {})): Site {
    return this.#sites.site(name);
  }

  /**
   * A weight by its Hugging Face name, as f32. The model's own: do not write into it or dispose it. Of a weight that is kept as it
   * was stored this is a copy, made by the first call and kept as long as the model; {@link LanguageModel.weight} is the original.
   *
   * @throws ConfigError `PARAMETER_UNKNOWN`
   */
  parameter(name: string): Tensor {
    const weight = this.weight(name);
    if (!(weight instanceof StoredWeight)) return weight;
    const known = this.#dequantized.get(weight);
    if (known !== undefined) return known;
    const made = this.device.keep(this.denseWeight(name));
    this.#dequantized.set(weight, made);
    return made;
  }

  /**
   * The same without keeping a copy: of a stored weight a new tensor, the caller's or the open scope's; of others the model's own.
   *
   * @throws ConfigError `PARAMETER_UNKNOWN`
   */
  denseWeight(name: string): Tensor {
    const weight = this.weight(name);
    if (!(weight instanceof StoredWeight)) return weight;
    if (this.#specs.get(name)?.transposed !== true) return weight.dequantize();
    return this.device.scope(() => permute(weight.dequantize(), [1, 0]));
  }

  /**
   * A weight by its Hugging Face name as the model keeps it: a tensor, or a `StoredWeight`, which `linear` and `embedding` take
   * too. A stored weight is `[out, in]`, of GPT-2's matrices too, which are `[in, out]` as parameters. The model's own.
   *
   * @throws ConfigError `PARAMETER_UNKNOWN`
   */
  weight(name: string): Weight {
    const weight = this.#parameters.get(name);
    if (weight !== undefined) return weight;
    throw new ConfigError({
      code: "PARAMETER_UNKNOWN",
      message: `the model has no parameter "${name}"`,
      fix: `use a Hugging Face name, for example ${[...this.#parameters.keys()].slice(0, 3).join(", ")}`,
      where: name,
    });
  }

  /**
   * The weights by their Hugging Face names, as tensors to take gradients to and to change in place; of tied ones only the one that
   * the checkpoint stores. `run` uses these very tensors, so that a loss made from its logits on a tape has gradients to all of them.
   *
   * @throws ConfigError `WEIGHTS_STORED` where matrices are kept as they were stored
   */
  trainableParameters(): Record<string, Tensor> {
    const found: Record<string, Tensor> = {};
    const seen = new Set<Weight>();
    for (const [name, weight] of this.#parameters) {
      if (seen.has(weight)) continue;
      seen.add(weight);
      if (weight instanceof StoredWeight) {
        throw new ConfigError({
          code: "WEIGHTS_STORED",
          message: `"${name}" is kept as it was stored (${weight.format}), and gradients are taken to f32 weights`,
          fix: 'load the model with weights: "f32"',
          where: this.name,
        });
      }
      found[name] = weight;
    }
    return found;
  }

  /**
   * The model with other weights in place of some: a view, which borrows all weights, its own included unless they are `owned`, and
   * owns nothing else but its rotary tables. Replacing a tied embedding replaces the unembedding too, unless `tied` is false. The
   * model must outlive it.
   *
   * @param overrides by Hugging Face name, each of the shape of the weight whose place it takes
   * @param identity what artefacts say of the view; this model's own if left out
   * @throws ConfigError `PARAMETER_UNKNOWN`; ShapeError `WEIGHT_SHAPE`
   */
  withWeights(
    overrides: ReadonlyMap<string, Weight>,
    identity: ModelIdentity = this.#identity,
    { owned = false, tied = true }: WithWeightsOptions = {},
  ): LanguageModel {
    const replaced = new Map<Weight, Weight>();
    for (const [name, weight] of overrides) {
      const original = this.weight(name);
      const expected = this.#shapeOf(name, weight);
      if (!sameShape(weight.shape, expected)) {
        throw new ShapeError({
          code: "WEIGHT_SHAPE",
          message: `the weight for "${name}" is ${formatShape(weight.shape)}, and the model's is ${formatShape(expected)}`,
          fix: "give a weight of the same shape",
          where: name,
        });
      }
      replaced.set(original, weight);
    }
    const parameters = new Map<string, Weight>();
    for (const [name, weight] of this.#parameters)
      parameters.set(name, (tied ? replaced.get(weight) : overrides.get(name)) ?? weight);
    const { unembedding } = families[this.config.architecture];
    const [before, after] = [this.#parameters, parameters].map(
      (all) => [...all.values()].filter((weight) => weight === all.get(unembedding)).length,
    );
    return new LanguageModel({
      identity,
      config: before === after ? this.config : { ...this.config, tiedEmbeddings: false },
      owned: owned ? [...overrides.values()] : [],
      device: this.device,
      tokenizer: this.tokenizer,
      parameters,
      borrowed: true,
    });
  }

  /** The unembedding as the model keeps it, which `linear` and `embedding` take: see {@link LanguageModel.weight}. */
  unembeddingWeight(): Weight {
    return this.weight(families[this.config.architecture].unembedding);
  }

  /** `[vocabulary, d_model]`, raw: a row's product with `ln_final.hook_normalized * finalNormWeight` is that token's logit. */
  unembedding(): Tensor {
    return this.parameter(families[this.config.architecture].unembedding);
  }

  /**
   * What the final norm multiplies `ln_final.hook_normalized` by, `[d_model]`: its weight, for Gemma 1 + its weight. LayerNorm (GPT-2,
   * GPT-NeoX) adds a bias after that, {@link finalNormBias}, which moves each token's logit by a constant.
   * The model's own. Of Gemma's sum there is one tensor, which every call computes anew, and no gradient flows through it.
   */
  finalNormWeight(): Tensor {
    const { finalNorm, normOffset } = families[this.config.architecture];
    const weight = this.parameter(finalNorm);
    if (normOffset === 0) return weight;
    const kept = (this.#finalNormWeight ??= this.device.keep(this.device.zeros(weight.shape)));
    noGrad(this.device, () => {
      using sum = add(weight, normOffset);
      copyInto(sum, kept, { axis: 0, start: 0 });
    });
    return kept;
  }

  /** What LayerNorm adds last (GPT-2, GPT-NeoX), `[d_model]`, the model's own; null for RMSNorm, which centres nothing either. */
  finalNormBias(): Tensor | null {
    return this.#forward.finalNormBias;
  }

  /**
   * What lies between a layer's heads and the residual stream.
   *
   * @throws ConfigError `SITE_UNKNOWN` for a layer that there is not
   */
  attentionOutput(layer: number): AttentionOutput {
    this.site(blockSite(layer, "attn.hook_result"));
    return this.#forward.attentionOutput(layer);
  }

  /**
   * What a layer's heads write, `z W_O` by head, from values of its `attn.hook_z`, `[batch, pos, head, d_head]`: what
   * `attn.hook_result` has, `[batch, pos, head, d_model]`. Differentiable; the caller's.
   *
   * @throws ConfigError `SITE_UNKNOWN` for a layer that there is not
   */
  headResults(layer: number, z: Tensor): Tensor {
    this.site(blockSite(layer, "attn.hook_result"));
    return this.#forward.headResults(layer, z);
  }

  /**
   * The logits that the model's head makes of residual streams `[..., d_model]`: final norm, unembedding and soft cap, whatever the
   * family has of them. `[..., vocabulary]`, the caller's. At the last block's `hook_resid_post` these are the model's own logits;
   * at earlier ones they are the logit lens.
   */
  readOut(residual: Tensor): Tensor {
    return this.#forward.readOut(residual);
  }

  /** Room for keys and values, for {@link RunOptions.cache}. `capacity` is the context size if left out. The caller disposes it. */
  createCache(options: { readonly batch?: number; readonly capacity?: number } = {}): KvCache {
    const { batch = 1, capacity = this.config.contextSize } = options;
    return new KvCache({ device: this.device, config: this.config, batch, capacity });
  }

  /**
   * One forward pass. Returns at once; reading the tensors waits for the device.
   *
   * @param tokens one row of token ids per sequence: all of one length, or see {@link RunOptions.padding}
   * @throws ShapeError `TOKENS_EMPTY`, `TOKENS_RAGGED`, `CONTEXT_OVERFLOW`, `CACHE_FULL`; ConfigError `TOKEN_RANGE`,
   *   `PADDING_CACHE`, `RUN_ROWS`, `SITE_UNKNOWN`, `EDIT_RESULT`; MismatchError `EDIT_SHAPE`, `CACHE_BATCH`. Nothing is left on
   *   the device then.
   */
  run(tokens: readonly ArrayLike<number>[], options: RunOptions = {}): RunResult {
    const { capture = [], edits = [], logits = "all", cache } = options;
    const batch = new TokenBatch({
      tokens,
      config: this.config,
      cache: cache ?? null,
      padding: options.padding,
      rowIndices: options.rowIndices,
      promptLengths: options.promptLengths,
    });
    const { startPosition, rows } = batch;
    using hooks = new HookRun({ sites: this.#sites, capture, edits, tokens, startPosition, rows });
    const { device } = this;
    const [result] = device.scope(() => {
      const out = this.#forward.forward({
        device,
        hooks,
        ...batch.tensors(device),
        rowLengths: batch.rowLengths,
        startPosition,
        lastPlaces: batch.lastPlaces,
        cache: cache ?? null,
        logits,
        mayStop: logits === "none" && cache === undefined,
      });
      return [logits === "none" ? null : out, hooks.captured] as const;
    });
    cache?.advance(batch.length, batch.starts);
    return runResult(result, hooks.captured);
  }

  /**
   * Continues a prompt token by token with a KV cache. Greedy unless a temperature is given; edits apply to the prompt and to
   * every new token. Several prompts, of any lengths, go on together, and each is read once for all its samples: tokens come in turns,
   * each with its `prompt` and `sample`, the same as alone; a sample that has ended is no longer computed.
   *
   * @throws ConfigError `PROMPT_INVALID`, `SAMPLING_INVALID`, `TOKENIZER_MISSING`; ShapeError `CONTEXT_OVERFLOW`; AbortedError
   */
  generate(options: GenerateOptions): AsyncGenerator<GeneratedToken, void, undefined> {
    return generate(this, options);
  }

  /** The shape that a weight of this kind has under this name. */
  #shapeOf(name: string, weight: Weight): readonly number[] {
    const { shape = [], transposed = false } = this.#specs.get(name) ?? {};
    return transposed && weight instanceof StoredWeight ? shape.toReversed() : shape;
  }

  /** Frees the weights; of a view (see {@link LanguageModel.withWeights}) only what is its own. */
  dispose(): void {
    this.#forward[Symbol.dispose]();
    if (!this.#borrowed) disposeParameters(this.#parameters);
    for (const weight of new Set(this.#owned)) weight.dispose();
    for (const tensor of this.#dequantized.values()) tensor.dispose();
    this.#finalNormWeight?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
