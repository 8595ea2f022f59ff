import { describe, expect, it } from "vitest";
import { parseConfig } from "./parse-config.ts";

const smollm = {
  model_type: "llama",
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1_536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  hidden_act: "silu",
  max_position_embeddings: 8_192,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  eos_token_id: 2,
  rope_theta: 100_000,
  rope_scaling: null,
};

describe("parseConfig", () => {
  it("reads what transformers 4 writes", () => {
    expect(parseConfig(smollm)).toEqual({
      architecture: "llama",
      layers: 30,
      dModel: 576,
      heads: 9,
      kvHeads: 3,
      dHead: 64,
      dMlp: 1_536,
      vocabulary: 49_152,
      contextSize: 8_192,
      ropeBase: 100_000,
      normEpsilon: 1e-5,
      tiedEmbeddings: true,
      endTokens: [2],
    });
  });

  it("reads what transformers 5 writes as the same model", () => {
    const { rope_theta, rope_scaling: _, ...rest } = smollm;
    const modern = { ...rest, head_dim: 64, rope_parameters: { rope_theta, rope_type: "default" } };
    expect(parseConfig(modern)).toEqual(parseConfig(smollm));
  });

  it("takes transformers' defaults where a field is absent", () => {
    expect(parseConfig({ model_type: "llama" })).toMatchObject({
      layers: 32,
      dModel: 4_096,
      heads: 32,
      kvHeads: 32,
      dHead: 128,
      ropeBase: 10_000,
      normEpsilon: 1e-6,
      tiedEmbeddings: false,
      endTokens: [],
    });
  });

  it("takes a list of end tokens and a head width of its own", () => {
    expect(parseConfig({ ...smollm, eos_token_id: [2, 7], head_dim: 32 })).toMatchObject({
      endTokens: [2, 7],
      dHead: 32,
    });
  });

  it("has what goes beyond a plain Llama only where it is", () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const config = parseConfig({
      ...smollm,
      attention_bias: true,
      mlp_bias: true,
      hidden_act: "gelu_pytorch_tanh",
      rope_scaling: { type: "llama3", original_max_position_embeddings: 4_096, ...scaling },
    });
    expect(config).toEqual({
      ...parseConfig(smollm),
      attentionBias: true,
      mlpBias: true,
      activation: "geluTanh",
      ropeScaling: {
        type: "llama3",
        factor: 8,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalPositions: 4_096,
      },
    });
  });

  it("takes the model's own length for scalings that do not say theirs", () => {
    const rope_scaling = { rope_type: "yarn", factor: 4, truncate: false };
    expect(parseConfig({ ...smollm, rope_scaling }).ropeScaling).toEqual({
      type: "yarn",
      factor: 4,
      originalPositions: 8_192,
      truncate: false,
    });
  });

  it.each([
    ["another architecture", { model_type: "mamba" }, '"gemma3_text", "gpt2" or "gpt_neox"'],
    [
      "rope scaling, transformers 4",
      { rope_scaling: { type: "su", factor: 2 } },
      'rope scaling "su"',
    ],
    [
      "rope scaling, transformers 5",
      { rope_parameters: { rope_type: "proportional", rope_theta: 5e5 } },
      'rope scaling "proportional"; supported is rope type "default", "linear", "dynamic", "llama3", "yarn" or "longrope"',
    ],
    [
      "partial rotary",
      { rope_parameters: { partial_rotary_factor: 0.5 } },
      "partial_rotary_factor 0.5",
    ],
    ["another activation", { hidden_act: "mish" }, 'hidden_act "mish"'],
    ["packed weights", { quantization_config: { quant_method: "gptq" } }, "quantization_config"],
  ])("refuses %s and says what is supported", (_, fields, named) => {
    expect(() => parseConfig({ ...smollm, ...fields }, "somewhere")).toThrow(
      expect.objectContaining({
        code: "MODEL_UNSUPPORTED",
        message: expect.stringContaining(named),
        where: "somewhere",
        fix: expect.stringContaining("Add a model family"),
      }),
    );
  });

  it.each([
    ["no object", null, "model_type"],
    ["no model_type", {}, "model_type"],
    ["a scaling without its factor", { ...smollm, rope_scaling: { type: "linear" } }, "no factor"],
    [
      "a scaling without its frequencies",
      { ...smollm, rope_scaling: { type: "llama3", factor: 8 } },
      "no low_freq_factor",
    ],
    ["a string for a size", { ...smollm, hidden_size: "576" }, "hidden_size"],
    ["a size of zero", { ...smollm, num_hidden_layers: 0 }, "num_hidden_layers"],
    ["heads that do not divide", { ...smollm, num_key_value_heads: 2 }, "9 query heads"],
    ["an odd head width", { ...smollm, head_dim: 63 }, "odd"],
    ["fewer features than heads", { ...smollm, hidden_size: 8 }, "dHead is 0"],
  ])("refuses %s", (_, raw, named) => {
    expect(() => parseConfig(raw)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(named) }),
    );
  });
});
