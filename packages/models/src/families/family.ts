import type { Device, StoredWeight, Tensor } from "@latentkit/tensor";
import type { BlockLayout } from "../block-layout.ts";
import type { ModelConfig } from "../config.ts";
import type { HookRun } from "../hook-run.ts";
import type { KvCache } from "../kv-cache.ts";

/** A matrix that activations are multiplied with, or rows of which are looked up: as f32, or as it was stored. */
export type Weight = Tensor | StoredWeight;

/** Finds an architecture's weights by their Hugging Face names. */
export interface WeightFinder {
  /** A matrix. */
  matrix(name: string): Weight;
  /** Anything else, always f32. */
  vector(name: string): Tensor;
}

/** A tensor that an architecture needs. */
export interface ParameterSpec {
  /** As Hugging Face names it. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Other names that checkpoints have for it. */
  readonly aliases?: readonly string[];
  /** Name of the parameter whose storage it shares, for tied embeddings. */
  readonly sameAs?: string;
  /** A matrix that checkpoints hold as `[in, out]`. As a `StoredWeight` it is `[out, in]` like all others, as a tensor `[in, out]`. */
  readonly transposed?: boolean;
  /** What a vector holds before training: 1 by default, as the weight of a norm. */
  readonly initial?: 0 | 1;
}

/** Which positions' logits a run computes. */
export type LogitsWanted = "all" | "last" | "none";

/** One call of a forward pass, checked and on the device. */
export interface ForwardCall {
  readonly device: Device;
  readonly hooks: HookRun;
  /** i32 `[batch, pos]`. */
  readonly ids: Tensor;
  /** i32 `[batch * pos]`: context positions. */
  readonly positions: Tensor;
  /** The same on the host. */
  readonly hostPositions: Int32Array;
  /** Tokens of each row's whole sequence, those in the cache and those of this call. */
  readonly rowLengths: readonly number[];
  readonly startPosition: number;
  /** u8 `[batch, kLength]`, 0 for padding; null where there is none. */
  readonly keyMask: Tensor | null;
  /** Places of the rows' last tokens on the `pos` axis; null where that is the last place for all. */
  readonly lastPlaces: readonly number[] | null;
  readonly cache: KvCache | null;
  readonly logits: LogitsWanted;
  /** Whether the pass may stop once all sites are served: no logits are wanted and no cache waits for the later layers. */
  readonly mayStop: boolean;
}

/** What lies between a layer's heads and the residual stream. */
export interface AttentionOutput {
  /** Of the output projection, `[d_model]`; null for none. */
  readonly bias: Tensor | null;
  /** The norm of what attention adds to the stream, an RMSNorm (Gemma, OLMo 2); null for none. */
  readonly norm: {
    /** Site, within its block, of what it divides by. */
    readonly scaleSite: "ln1.hook_scale" | "ln1_post.hook_scale";
    /** `[d_model]`. */
    readonly weight: Tensor;
    /** Added to the weight before it is used. */
    readonly offset: 0 | 1;
  } | null;
}

/** A forward pass with its weights in place. */
export interface BoundFamily extends Disposable {
  /** Logits `[batch, pos, vocabulary]`, or null where the pass stopped early. Runs inside a scope. */
  forward(call: ForwardCall): Tensor | null;
  /** The logits `[..., vocabulary]` that the head makes of rows of the residual stream, `[..., d_model]`. */
  readOut(residual: Tensor): Tensor;
  /** What LayerNorm adds last, `[d_model]`; null for RMSNorm. */
  readonly finalNormBias: Tensor | null;
  /** Of a layer that there is. */
  attentionOutput(layer: number): AttentionOutput;
  /** What each head of a layer writes, from `attn.hook_z`: `[batch, pos, head, d_model]`. */
  headResults(layer: number, z: Tensor): Tensor;
}

/** What a configuration holds beside sizes that tests and experiments choose. */
export type SmallConfig = Omit<ModelConfig, "architecture">;

/** An architecture: how its configuration is written, which tensors it needs and what it does with them. */
export interface Family {
  /** Name of the unembedding, `[vocabulary, d_model]`. */
  readonly unembedding: string;
  /** Name of the final norm's weight, `[d_model]`. */
  readonly finalNorm: string;
  /** Added to every RMSNorm's weight before it is used: 1 for Gemma, else 0. */
  readonly normOffset: 0 | 1;
  /** Tensors that checkpoints have beside the model's own and that serve something else, such as images. */
  readonly otherTensors?: RegExp;
  /** A configuration of a few thousand parameters, with what the family has beside Llama switched on. */
  readonly small: SmallConfig;
  /**
   * Reads the fields of a `config.json`.
   *
   * @throws ConfigError `CONFIG_INVALID`, `MODEL_UNSUPPORTED`
   */
  parse(raw: unknown, where: string | undefined): ModelConfig;
  /** The fields of `config.json` that `parse` reads back, as transformers 4 and 5 both understand them. */
  configFields(config: ModelConfig): Record<string, unknown>;
  /** Which sites a block has. */
  layout(config: ModelConfig): BlockLayout;
  parameters(config: ModelConfig): readonly ParameterSpec[];
  bind(config: ModelConfig, weights: WeightFinder, device: Device): BoundFamily;
}
