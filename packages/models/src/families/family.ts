import type { Device, StoredWeight, Tensor } from "@latentkit/tensor";
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
  /** Name of the parameter whose storage it shares, for tied embeddings. */
  readonly sameAs?: string;
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
  readonly startPosition: number;
  readonly cache: KvCache | null;
  readonly logits: LogitsWanted;
  /** Whether the pass may stop once all sites are served: no logits are wanted and no cache waits for the later layers. */
  readonly mayStop: boolean;
}

/** A forward pass with its weights in place. */
export interface BoundFamily extends Disposable {
  /** Logits `[batch, pos, vocabulary]`, or null where the pass stopped early. Runs inside a scope. */
  forward(call: ForwardCall): Tensor | null;
}

/** An architecture: which tensors it needs and what it does with them. */
export interface Family {
  /** Name of the unembedding, `[vocabulary, d_model]`. */
  readonly unembedding: string;
  /** Name of the final norm's weight, `[d_model]`. */
  readonly finalNorm: string;
  parameters(config: ModelConfig): readonly ParameterSpec[];
  bind(config: ModelConfig, weights: WeightFinder, device: Device): BoundFamily;
}
