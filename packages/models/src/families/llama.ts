import { add, type Device, embedding, linear, slice, type Tensor } from "@latentkit/tensor";
import { attentionBlock, type AttentionCall, type AttentionWeights } from "../blocks/attention.ts";
import { gatedMlpBlock, type GatedMlpWeights } from "../blocks/gated-mlp.ts";
import { rmsNormBlock, type NormWeights } from "../blocks/rms-norm.ts";
import { Rotary } from "../blocks/rotary.ts";
import type { ModelConfig } from "../config.ts";
import type { Family, ForwardCall, ParameterSpec, Weight, WeightFinder } from "./family.ts";

/** Name and shape of each tensor of a Llama checkpoint, as Hugging Face names them. */
function llamaParameters(config: ModelConfig): ParameterSpec[] {
  const { dModel, dMlp, vocabulary, layers } = config;
  const queryWidth = config.heads * config.dHead;
  const keyWidth = config.kvHeads * config.dHead;
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const at = `model.layers.${layer}.`;
    return [
      { name: `${at}input_layernorm.weight`, shape: [dModel] },
      { name: `${at}self_attn.q_proj.weight`, shape: [queryWidth, dModel] },
      { name: `${at}self_attn.k_proj.weight`, shape: [keyWidth, dModel] },
      { name: `${at}self_attn.v_proj.weight`, shape: [keyWidth, dModel] },
      { name: `${at}self_attn.o_proj.weight`, shape: [dModel, queryWidth] },
      { name: `${at}post_attention_layernorm.weight`, shape: [dModel] },
      { name: `${at}mlp.gate_proj.weight`, shape: [dMlp, dModel] },
      { name: `${at}mlp.up_proj.weight`, shape: [dMlp, dModel] },
      { name: `${at}mlp.down_proj.weight`, shape: [dModel, dMlp] },
    ];
  });
  return [
    { name: "model.embed_tokens.weight", shape: [vocabulary, dModel] },
    ...blocks.flat(),
    { name: "model.norm.weight", shape: [dModel] },
    {
      name: "lm_head.weight",
      shape: [vocabulary, dModel],
      ...(config.tiedEmbeddings ? { sameAs: "model.embed_tokens.weight" } : {}),
    },
  ];
}

interface LayerWeights {
  readonly norm1: NormWeights;
  readonly attention: AttentionWeights;
  readonly norm2: NormWeights;
  readonly mlp: GatedMlpWeights;
}

/** The Llama forward pass (2302.13971) over raw weights. */
class Llama {
  readonly #config: ModelConfig;
  readonly #rotary: Rotary;
  readonly #layers: readonly LayerWeights[];
  readonly #embedding: Weight;
  readonly #finalNorm: NormWeights;
  readonly #unembedding: Weight;

  constructor(config: ModelConfig, weights: WeightFinder, device: Device) {
    const epsilon = config.normEpsilon;
    this.#config = config;
    this.#rotary = new Rotary({
      device,
      dHead: config.dHead,
      base: config.ropeBase,
      contextSize: config.contextSize,
    });
    this.#rotary.prepare(Math.min(config.contextSize, 2_048));
    this.#embedding = weights.matrix("model.embed_tokens.weight");
    this.#finalNorm = { weight: weights.vector("model.norm.weight"), epsilon };
    this.#unembedding = weights.matrix("lm_head.weight");
    this.#layers = Array.from({ length: config.layers }, (_, layer) => {
      const at = (name: string) => `model.layers.${layer}.${name}.weight`;
      const weight = (name: string) => weights.matrix(at(name));
      const norm = (name: string) => ({ weight: weights.vector(at(name)), epsilon });
      return {
        norm1: norm("input_layernorm"),
        attention: {
          query: weight("self_attn.q_proj"),
          key: weight("self_attn.k_proj"),
          value: weight("self_attn.v_proj"),
          output: weight("self_attn.o_proj"),
        },
        norm2: norm("post_attention_layernorm"),
        mlp: {
          gate: weight("mlp.gate_proj"),
          up: weight("mlp.up_proj"),
          down: weight("mlp.down_proj"),
        },
      };
    });
  }

  forward(call: ForwardCall): Tensor | null {
    const { device, hooks, ids, logits } = call;
    const done = () => call.mayStop && hooks.finished;

    let residual = hooks.visit("hook_embed", embedding(this.#embedding, ids));
    for (const [layer, weights] of this.#layers.entries()) {
      if (done()) return null;
      const before = residual;
      // A block's captures are part of its scope's result, else they would be freed with the rest.
      [residual] = device.scope(
        () => [this.#block(before, layer, weights, call), hooks.captured] as const,
      );
      if (residual !== before) before.dispose();
    }
    if (done()) return null;

    // Sites of the final norm show all positions even when only the last one's logits are wanted.
    const early =
      logits === "last" && !hooks.wants("ln_final.hook_scale", "ln_final.hook_normalized");
    const seen = early ? lastPosition(residual) : residual;
    const normalized = rmsNormBlock(seen, this.#finalNorm, "ln_final.", hooks);
    if (done()) return null;
    const final = logits === "last" && !early ? lastPosition(normalized) : normalized;
    return hooks.visit("logits", linear(final, this.#unembedding));
  }

  [Symbol.dispose](): void {
    this.#rotary[Symbol.dispose]();
  }

  /** One block; where nothing after some point of it is asked for, it stops there and what it returns is not used. */
  #block(x: Tensor, layer: number, weights: LayerWeights, call: ForwardCall): Tensor {
    const { device, hooks } = call;
    const at = `blocks.${layer}.`;
    const done = () => call.mayStop && hooks.finished;
    const attentionCall: AttentionCall = {
      hooks,
      rotary: this.#rotary,
      startPosition: call.startPosition,
      positions: call.positions,
      cache: call.cache?.layers[layer] ?? null,
    };

    const residPre = hooks.visit(`${at}hook_resid_pre`, x);
    if (done()) return residPre;
    const [attnOut] = device.scope(() => {
      const normalized = rmsNormBlock(residPre, weights.norm1, `${at}ln1.`, hooks);
      const out = attentionBlock(
        normalized,
        weights.attention,
        this.#config,
        `${at}attn.`,
        attentionCall,
      );
      return [hooks.visit(`${at}hook_attn_out`, out), hooks.captured] as const;
    });
    if (done()) return residPre;
    const residMid = hooks.visit(`${at}hook_resid_mid`, add(residPre, attnOut));
    if (done()) return residPre;
    const [mlpOut] = device.scope(() => {
      const normalized = rmsNormBlock(residMid, weights.norm2, `${at}ln2.`, hooks);
      const out = gatedMlpBlock(normalized, weights.mlp, `${at}mlp.`, hooks);
      return [hooks.visit(`${at}hook_mlp_out`, out), hooks.captured] as const;
    });
    return hooks.visit(`${at}hook_resid_post`, add(residMid, mlpOut));
  }
}

function lastPosition(x: Tensor): Tensor {
  const length = x.shape[1] ?? 0;
  return slice(x, { axis: 1, start: length - 1, end: length });
}

/** Llama, Llama 2, SmolLM2, TinyLlama and others of the same shape. */
export const llama: Family = {
  unembedding: "lm_head.weight",
  finalNorm: "model.norm.weight",
  parameters: llamaParameters,
  bind: (config, weights, device) => new Llama(config, weights, device),
};
