import { internalFault } from "@latentkit/core";
import {
  type Activation,
  add,
  type Device,
  embedding,
  linear,
  mul,
  slice,
  take,
  tanh,
  type Tensor,
} from "@latentkit/tensor";
import type { AttentionOutput, BoundFamily, ForwardCall, Weight } from "../families/family.ts";
import type { HookRun } from "../hook-run.ts";
import { type Attention, attentionBlock } from "./attention.ts";
import { mlpBlock, type MlpWeights } from "./mlp.ts";
import { normBlock, type Norm, plainNorm } from "./norm.ts";
import { projectHeads } from "./projection.ts";
import type { Rotary, Rotation } from "./rotary.ts";

/** A norm and its site's name within the block, for example `"ln1"`. */
export interface PlacedNorm {
  readonly site: "ln1" | "ln1_post" | "ln2" | "ln2_post";
  readonly norm: Norm;
}

/** Norms around attention or the MLP. */
export interface Norms {
  readonly before: PlacedNorm | null;
  /** Applied to what is then added to the residual stream. */
  readonly after: PlacedNorm | null;
}

/** One block. */
export interface DecoderLayer {
  readonly attentionNorms: Norms;
  readonly attention: Attention;
  readonly mlpNorms: Norms;
  readonly mlp: MlpWeights;
}

/** What a {@link Decoder} is made of. */
export interface DecoderParts {
  readonly device: Device;
  readonly embedding: Weight;
  /** Factor of the embeddings; null for 1. */
  readonly embeddingScale: number | null;
  /** Learned positions `[context, d_model]`, added to the embeddings; null for none. */
  readonly positions: Weight | null;
  readonly layers: readonly DecoderLayer[];
  readonly activation: Activation;
  /** Attention and MLP both read the stream as it enters the block. */
  readonly parallel: boolean;
  readonly finalNorm: Norm;
  readonly unembedding: Weight;
  readonly logitSoftCap: number | null;
  /** Tables to free with the model. */
  readonly rotaries: readonly Rotary[];
}

/**
 * The forward pass of every family: embeddings, blocks of attention and MLP that add to a residual stream, a final norm and the head.
 * Families differ in the parts.
 */
export class Decoder implements BoundFamily {
  readonly #parts: DecoderParts;

  constructor(parts: DecoderParts) {
    this.#parts = parts;
  }

  forward(call: ForwardCall): Tensor | null {
    const { device, hooks, logits } = call;
    const { finalNorm, layers } = this.#parts;
    const done = () => call.mayStop && hooks.finished;

    const rotations = this.#rotations(call);
    let [residual] = device.scope(() => [this.#embed(call), hooks.captured] as const);
    for (const [layer, parts] of layers.entries()) {
      if (done()) return null;
      const before = residual;
      // A block's captures are part of its scope's result, else they would be freed with the rest.
      [residual] = device.scope(
        () => [this.#block(before, layer, parts, call, rotations), hooks.captured] as const,
      );
      if (residual !== before) before.dispose();
    }
    if (done()) return null;

    // Sites of the final norm show all positions even when only the last one's logits are wanted.
    const early =
      logits === "last" && !hooks.wants("ln_final.hook_scale", "ln_final.hook_normalized");
    const seen = early ? lastPosition(residual, call.lastPlaces) : residual;
    const normalized = normBlock(seen, finalNorm, "ln_final.", hooks);
    if (done()) return null;
    const final =
      logits === "last" && !early ? lastPosition(normalized, call.lastPlaces) : normalized;
    return hooks.visit("logits", this.#head(final));
  }

  readOut(residual: Tensor): Tensor {
    return residual.device.scope(() => this.#head(plainNorm(residual, this.#parts.finalNorm)));
  }

  get finalNormBias(): Tensor | null {
    const { finalNorm } = this.#parts;
    return finalNorm.kind === "layer" ? finalNorm.bias : null;
  }

  attentionOutput(layer: number): AttentionOutput {
    const { attention, attentionNorms } = this.#layer(layer);
    const { after } = attentionNorms;
    const { bias } = attention.output;
    // No family has a LayerNorm there.
    if (after === null || after.norm.kind === "layer") return { bias, norm: null };
    const scaleSite = after.site === "ln1_post" ? "ln1_post.hook_scale" : "ln1.hook_scale";
    const { weight, offset } = after.norm;
    return { bias, norm: { scaleSite, weight, offset } };
  }

  headResults(layer: number, z: Tensor): Tensor {
    const { output } = this.#layer(layer).attention;
    return z.device.scope(() => projectHeads(z, output));
  }

  [Symbol.dispose](): void {
    for (const rotary of this.#parts.rotaries) rotary[Symbol.dispose]();
  }

  #layer(layer: number): DecoderLayer {
    const parts = this.#parts.layers[layer];
    if (parts !== undefined) return parts;
    throw internalFault(
      `there are ${this.#parts.layers.length} layers, and layer ${layer} was asked for`,
    );
  }

  #rotations(call: ForwardCall): ReadonlyMap<Rotary | null, Rotation> {
    return new Map(this.#parts.rotaries.map((rotary) => [rotary, rotary.of(call)]));
  }

  /** What enters the first block. */
  #embed({ hooks, ids, positions: at }: ForwardCall): Tensor {
    const { embedding: table, embeddingScale, positions } = this.#parts;
    const looked = embedding(table, ids);
    const tokens = embeddingScale === null ? looked : mul(looked, embeddingScale);
    const embedded = hooks.visit("hook_embed", tokens);
    if (positions === null) return embedded;
    const learned = embedding(positions, at.reshape(ids.shape));
    return add(embedded, hooks.visit("hook_pos_embed", learned));
  }

  /** One block; where nothing after some point of it is asked for, it stops there and what it returns is not used. */
  #block(
    x: Tensor,
    layer: number,
    parts: DecoderLayer,
    call: ForwardCall,
    rotations: ReadonlyMap<Rotary | null, Rotation>,
  ): Tensor {
    const { device, hooks } = call;
    const { activation, parallel } = this.#parts;
    const at = `blocks.${layer}.`;
    const done = () => call.mayStop && hooks.finished;
    const attentionCall = {
      hooks,
      startPosition: call.startPosition,
      rotation: rotations.get(parts.attention.rotary) ?? null,
      keyMask: call.keyMask,
      cache: call.cache?.layers[layer] ?? null,
    };

    const residPre = hooks.visit(`${at}hook_resid_pre`, x);
    if (done()) return residPre;
    const [attnOut] = device.scope(() => {
      const out = between(residPre, parts.attentionNorms, at, hooks, (inside) =>
        attentionBlock(inside, parts.attention, `${at}attn.`, attentionCall),
      );
      return [hooks.visit(`${at}hook_attn_out`, out), hooks.captured] as const;
    });
    if (done()) return residPre;
    const added = add(residPre, attnOut);
    const residMid = parallel ? added : hooks.visit(`${at}hook_resid_mid`, added);
    if (done()) return residPre;
    const [mlpOut] = device.scope(() => {
      const out = between(parallel ? residPre : residMid, parts.mlpNorms, at, hooks, (inside) =>
        mlpBlock(inside, parts.mlp, activation, `${at}mlp.`, hooks),
      );
      return [hooks.visit(`${at}hook_mlp_out`, out), hooks.captured] as const;
    });
    return hooks.visit(`${at}hook_resid_post`, add(residMid, mlpOut));
  }

  #head(normalized: Tensor): Tensor {
    const { unembedding, logitSoftCap: cap } = this.#parts;
    if (cap === null) return linear(normalized, unembedding);
    // Logits are large: of the steps to them none is kept.
    return normalized.device.scope(() =>
      mul(tanh(mul(linear(normalized, unembedding), 1 / cap)), cap),
    );
  }
}

/** `inner` with the norms around it. */
function between(
  x: Tensor,
  { before, after }: Norms,
  at: string,
  hooks: HookRun,
  inner: (normalized: Tensor) => Tensor,
): Tensor {
  const place = (value: Tensor, placed: PlacedNorm | null) =>
    placed === null ? value : normBlock(value, placed.norm, `${at}${placed.site}.`, hooks);
  return place(inner(place(x, before)), after);
}

/** Each row's last position, `[batch, 1, width]`. */
function lastPosition(x: Tensor, places: readonly number[] | null): Tensor {
  const [batch = 0, length = 0, width = 0] = x.shape;
  if (places === null) return slice(x, { axis: 1, start: length - 1, end: length });
  const rows = places.map((place, row) => row * length + place);
  return take(x.reshape([batch * length, width]), rows, { axis: 0 }).reshape([batch, 1, width]);
}
