// A model whose every next token is decided by a function, so that checks can be checked.
import type { Tokenizer } from "@latentkit/loaders";
import {
  type KvCache,
  LanguageModel,
  randomModel,
  type RunOptions,
  type RunResult,
} from "@latentkit/models";
import { type Device, linear, rmsNorm, type Tensor } from "@latentkit/tensor";

/**
 * What comes after a text: the first token of it is the model's next one, or the token of an id; null is no matter what. The text holds
 * marks as they are written; `ids` are those of this call alone. `layer` is the block after which the model is read; the last one decides what it says.
 */
export type Script = (
  text: string,
  layer: number,
  ids: readonly number[],
) => number | string | null;

/**
 * A language model of two layers over bytes whose residual stream is, at each position, the one-hot vector of the token that the script
 * wants next, and whose unembedding is the identity: that token has nearly all of the probability. Where the script wants nothing the
 * distribution is even.
 */
export class ScriptedModel extends LanguageModel {
  readonly #script: Script;
  readonly #tokenizer: Tokenizer;
  readonly #identity: Tensor;
  readonly #ones: Tensor;
  readonly #inner: LanguageModel;
  readonly #histories = new WeakMap<KvCache, string[]>();

  constructor(device: Device, tokenizer: Tokenizer, script: Script) {
    const vocabulary = tokenizer.vocabularySize;
    const inner = randomModel({
      device,
      seed: 0,
      tokenizer,
      config: {
        layers: 2,
        dModel: vocabulary,
        heads: 1,
        kvHeads: 1,
        dHead: 2,
        dMlp: 2,
        contextSize: 2_048,
        vocabulary,
      },
    });
    super({
      identity: { ...inner.identity(), name: "scripted" },
      config: inner.config,
      device,
      tokenizer,
      parameters: new Map(
        [...names(inner.config.layers)].map((name) => [name, inner.weight(name)] as const),
      ),
      borrowed: true,
    });
    this.#inner = inner;
    this.#script = script;
    this.#tokenizer = tokenizer;
    const identity = new Float32Array(vocabulary * vocabulary);
    for (let token = 0; token < vocabulary; token++) identity[token * (vocabulary + 1)] = 1;
    this.#identity = device.keep(device.tensor(identity, [vocabulary, vocabulary]));
    this.#ones = device.keep(device.full([vocabulary], 1));
  }

  override unembedding(): Tensor {
    return this.#identity;
  }

  override finalNormWeight(): Tensor {
    return this.#ones;
  }

  override readOut(residual: Tensor): Tensor {
    return linear(rmsNorm(residual, this.#ones, this.config.normEpsilon), this.#identity);
  }

  override run(tokens: readonly ArrayLike<number>[], options: RunOptions = {}): RunResult {
    const { capture = [], cache, logits = "all" } = options;
    const before = (cache && this.#histories.get(cache)) ?? tokens.map(() => "");
    const width = this.config.vocabulary;
    const length = tokens[0]?.length ?? 0;
    const after = tokens.map((row, index) => (before[index] ?? "") + this.#textOf(row));
    if (cache !== undefined) this.#histories.set(cache, after);
    const hidden = (layer: number, last: boolean, size: number): Tensor => {
      const positions = last ? 1 : length;
      const values = new Float32Array(tokens.length * positions * width);
      for (const [row, ids] of tokens.entries()) {
        let text = before[row] ?? "";
        for (let at = 0; at < length; at++) {
          text += this.#textOf([ids[at] ?? 0]);
          const place = last ? 0 : at;
          if (last && at < length - 1) continue;
          const wanted = this.#script(text, layer, Array.from(ids).slice(0, at + 1));
          const token = this.#tokenOf(wanted);
          if (token !== undefined) values[(row * positions + place) * width + token] = size;
        }
      }
      return this.device.tensor(values, [tokens.length, positions, width]);
    };
    const captured = new Map(
      capture.map((site) => [site, hidden(Number(/\d+/.exec(site)?.[0] ?? 0), false, 1)] as const),
    );
    const out = logits === "none" ? null : hidden(1, logits === "last", Math.sqrt(width));
    const dispose = (): void => {
      out?.dispose();
      for (const tensor of captured.values()) tensor.dispose();
    };
    return { logits: out, captured, dispose, [Symbol.dispose]: dispose };
  }

  override dispose(): void {
    super.dispose();
    this.#inner.dispose();
    this.#identity.dispose();
    this.#ones.dispose();
  }

  #tokenOf(wanted: number | string | null): number | undefined {
    if (typeof wanted === "number") return wanted;
    return wanted === null ? undefined : this.#tokenizer.encode(wanted).ids[0];
  }

  #textOf(ids: ArrayLike<number>): string {
    return Array.from(ids, (id) => this.#tokenizer.tokenText(id)).join("");
  }
}

function* names(layers: number): Generator<string> {
  yield "model.embed_tokens.weight";
  yield "lm_head.weight";
  yield "model.norm.weight";
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}.`;
    for (const name of ["input_layernorm", "post_attention_layernorm"]) yield `${at}${name}.weight`;
    for (const name of ["q", "k", "v", "o"]) yield `${at}self_attn.${name}_proj.weight`;
    for (const name of ["gate", "up", "down"]) yield `${at}mlp.${name}_proj.weight`;
  }
}
