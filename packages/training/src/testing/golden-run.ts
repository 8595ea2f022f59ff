import { type LanguageModel, randomModel } from "@latentkit/models";
import { copyInto, type Device } from "@latentkit/tensor";
import { trainingCurveGolden as goldens } from "@latentkit/tensor/testing";
import type { TrainingConfigInput } from "../config.ts";
import type { ContextStream, TrainingContext } from "../contexts.ts";

/** A run of PyTorch with the same weights and batches. */
export interface GoldenRun {
  readonly model: LanguageModel;
  readonly contexts: ContextStream;
  readonly config: TrainingConfigInput;
  /** Losses and norms of PyTorch in f64. */
  readonly losses: readonly number[];
  readonly norms: readonly number[];
}

const { sizes, training } = goldens;
const contextSize = sizes.length - 1;

const layerNames: Readonly<Record<string, string>> = {
  query: "self_attn.q_proj",
  key: "self_attn.k_proj",
  value: "self_attn.v_proj",
  output: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
  attentionNorm: "input_layernorm",
  mlpNorm: "post_attention_layernorm",
};

/** The model, the stream and the settings of `oracles/tensor/training_curve.py`. */
export function goldenRun(name: "tied" | "untied", device: Device): GoldenRun {
  const golden = goldens.cases[name];
  const model = randomModel({
    device,
    seed: 0,
    config: {
      layers: sizes.layers,
      dModel: sizes.width,
      heads: sizes.heads,
      kvHeads: sizes.kvHeads,
      dHead: sizes.headWidth,
      dMlp: sizes.hidden,
      vocabulary: sizes.vocabulary,
      contextSize,
      ropeBase: training.ropeBase,
      normEpsilon: training.normEpsilon,
      tiedEmbeddings: name === "tied",
    },
  });
  const parameters = model.trainableParameters();
  for (const [key, { shape, f32 }] of Object.entries(golden.weights)) {
    const target = parameters[hubName(key)];
    if (target === undefined) throw new TypeError(`the model has no place for ${key}`);
    using source = device.tensor(new Float32Array(bytesOf(f32)), shape);
    copyInto(source, target, { axis: 0, start: 0 });
  }
  return {
    model,
    contexts: goldenContexts(),
    config: {
      tokens: training.steps * sizes.batch * contextSize,
      batch: sizes.batch,
      learningRate: training.learningRate,
      betas: [training.beta1, training.beta2],
      epsilon: training.epsilon,
      weightDecay: training.weightDecay,
      clip: training.maxNorm,
      warmUpSteps: training.warmUp,
      decayShare: 1,
      decay: "cosine",
      logEvery: 1,
    },
    losses: golden.f64.losses,
    norms: golden.f64.norms,
  };
}

/** The golden's batches, one after the other. */
function goldenContexts(): ContextStream {
  const ids = new Int32Array(bytesOf(goldens.tokens.i32));
  let row = 0;
  return {
    contextSize,
    identity: "golden",
    next() {
      const tokens = ids.subarray(row * sizes.length, (row + 1) * sizes.length);
      row += 1;
      const context: TrainingContext = { inputs: tokens.slice(0, -1), targets: tokens.slice(1) };
      return Promise.resolve(context);
    },
    state: () => row,
    restore(state) {
      row = Number(state);
    },
  };
}

function hubName(key: string): string {
  if (key === "embedding") return "model.embed_tokens.weight";
  if (key === "norm") return "model.norm.weight";
  if (key === "head") return "lm_head.weight";
  const [, layer = "", part = ""] = key.split(".");
  return `model.layers.${layer}.${layerNames[part] ?? part}.weight`;
}

function bytesOf(text = ""): ArrayBuffer {
  return Uint8Array.from(atob(text), (character) => character.codePointAt(0) ?? 0).buffer;
}
