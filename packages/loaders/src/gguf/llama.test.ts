import { describe, expect, it } from "vitest";
import { errorOf } from "../__fixtures__/load.ts";
import { tinyLlama, tinyLlamaFile, tinySizes, tinyTokens } from "../__fixtures__/tiny-llama.ts";
import { floatBytes, writeGguf } from "../__fixtures__/write-gguf.ts";
import type { GgufTensorToWrite, ValueToWrite } from "../__fixtures__/write-gguf.ts";
import { bytesSource } from "../byte-source.ts";
import { llamaFromGguf } from "./llama.ts";
import { openGguf } from "./open-gguf.ts";

const read = async (bytes: Uint8Array): Promise<ReturnType<typeof llamaFromGguf>> =>
  llamaFromGguf(await openGguf(bytesSource(bytes, "t.gguf")));
const withTensor = (tensor: GgufTensorToWrite): Uint8Array => {
  const { metadata, tensors } = tinyLlama();
  return writeGguf({
    metadata,
    tensors: [...tensors.filter(({ name }) => name !== tensor.name), tensor],
  });
};

describe("llamaFromGguf", () => {
  it("makes Hugging Face's configuration", async () => {
    const { config } = await read(tinyLlamaFile());
    expect(config).toEqual({
      model_type: "llama",
      architectures: ["LlamaForCausalLM"],
      hidden_act: "silu",
      hidden_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 4,
      intermediate_size: 12,
      vocab_size: tinyTokens.length,
      rope_theta: 10_000,
      rms_norm_eps: Math.fround(1e-5),
      max_position_embeddings: 32,
      tie_word_embeddings: true,
      attention_bias: false,
      mlp_bias: false,
      bos_token_id: 1,
      eos_token_id: 2,
      rope_scaling: null,
    });
  });

  it("takes what the metadata and tensors say beyond that", async () => {
    const changes = {
      "llama.rope.freq_base": 500_000,
      "llama.rope.dimension_count": 4,
      "llama.attention.head_count_kv": null,
      "tokenizer.ggml.bos_token_id": null,
    };
    const { config } = await read(tinyLlamaFile(changes));
    expect(config).toMatchObject({
      rope_theta: 500_000,
      head_dim: 4,
      num_key_value_heads: 2,
      bos_token_id: null,
    });
    const untied = await read(
      withTensor({ name: "output.weight", shape: [2, 8], type: 0, bytes: new Uint8Array(64) }),
    );
    expect(untied.config.tie_word_embeddings).toBe(false);
    expect(untied.tensors.has("lm_head.weight")).toBe(true);
    const linear = await read(
      tinyLlamaFile({ "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2 }),
    );
    expect(linear.config.rope_scaling).toEqual({ rope_type: "linear", factor: 2 });
    const factors = await read(
      withTensor({ name: "rope_freqs.weight", shape: [2], type: 0, bytes: floatBytes([1, 2]) }),
    );
    expect(factors.config.rope_scaling).toMatchObject({ rope_type: "gguf-frequency-factors" });
    const biased = await read(
      withTensor({
        name: "blk.0.attn_q.bias",
        shape: [8],
        type: 0,
        bytes: floatBytes([0, 1, 2, 3, 4, 5, 6, 7]),
      }),
    );
    expect(biased.config.attention_bias).toBe(true);
    expect([...(await biased.tensors.readFloats("model.layers.0.self_attn.q_proj.bias"))]).toEqual([
      0, 2, 1, 3, 4, 6, 5, 7,
    ]);
  });

  it("gives Hugging Face's names", async () => {
    const { tensors } = await read(tinyLlamaFile());
    const layer = [
      "input_layernorm",
      "mlp.down_proj",
      "mlp.gate_proj",
      "mlp.up_proj",
      "post_attention_layernorm",
    ];
    layer.push("self_attn.k_proj", "self_attn.o_proj", "self_attn.q_proj", "self_attn.v_proj");
    const inLayers = layer.map((name) => `model.layers.0.${name}.weight`);
    expect(tensors.names()).toEqual(
      ["model.embed_tokens.weight", ...inLayers, "model.norm.weight"].sort(),
    );
    expect(tensors.info("model.layers.0.mlp.down_proj.weight")).toMatchObject({
      name: "model.layers.0.mlp.down_proj.weight",
      shape: [8, 12],
    });
    const error = await errorOf(() => tensors.readFloats("model.layers.0.mlp.down.weight"));
    expect(error.message).toContain('did you mean "model.layers.0.mlp.down_proj.weight"?');
  });

  it("puts the rows of q and k back in order, and leaves the others", async () => {
    // llama.cpp's conversion: of a head's rows [a, b, c, d] it writes a, c, b, d.
    const { hidden, heads, headWidth } = tinySizes;
    const rows = Array.from({ length: heads * headWidth }, (_, row) => row);
    const permuted = rows.map((row) => {
      const inHead = row % headWidth;
      return row - inHead + (inHead % 2) * (headWidth / 2) + Math.floor(inHead / 2);
    });
    const bytes = floatBytes(permuted.flatMap((row) => Array.from({ length: hidden }, () => row)));
    const { tensors } = await read(
      withTensor({ name: "blk.0.attn_q.weight", shape: [8, 8], type: 0, bytes }),
    );
    const q = await tensors.readFloats("model.layers.0.self_attn.q_proj.weight");
    expect(rows.map((row) => q[row * hidden])).toEqual(rows);
    expect(await tensors.readBytes("model.layers.0.self_attn.q_proj.weight")).toEqual(
      new Uint8Array(q.buffer),
    );
    // One head at a time, as pieces that are too small for a head are rounded up; then all of them at once.
    for (const [pieceBytes, count] of [
      [1, heads],
      [undefined, 1],
    ] as const) {
      const pieces = [];
      for await (const piece of tensors.readPieces("model.layers.0.self_attn.q_proj.weight", {
        pieceBytes,
      }))
        pieces.push(piece);
      expect(pieces).toHaveLength(count);
      const joined = new Uint8Array(q.byteLength);
      for (const piece of pieces) joined.set(piece.bytes, piece.byteOffset);
      expect(joined).toEqual(new Uint8Array(q.buffer));
    }
    const v = await tensors.readFloats("model.layers.0.self_attn.v_proj.weight");
    expect(v.every((value, index) => index === 0 || value === (v[index - 1] ?? 0) + 1)).toBe(true);
  });

  it.each<readonly [string, Readonly<Record<string, ValueToWrite | null>>, string]>([
    ["another architecture", { "general.architecture": "mamba" }, "GGUF_ARCHITECTURE"],
    ["no architecture", { "general.architecture": null }, "GGUF_METADATA"],
    ["no layer count", { "llama.block_count": null }, "GGUF_METADATA"],
    ["a layer count in words", { "llama.block_count": "one" }, "GGUF_METADATA"],
    ["a width that is not whole heads", { "llama.attention.head_count": 3 }, "GGUF_METADATA"],
    ["no heads", { "llama.attention.head_count": 0 }, "GGUF_METADATA"],
    ["half a layer", { "llama.block_count": 0.5 }, "GGUF_METADATA"],
  ])("refuses %s", async (_name, changes, code) => {
    expect(await errorOf(() => read(tinyLlamaFile(changes)))).toMatchObject({
      code,
      where: "t.gguf",
    });
  });

  it("refuses rows that are not whole heads, and a file without an embedding", async () => {
    const { tensors } = await read(
      tinyLlamaFile({ "llama.attention.head_count": 3, "llama.rope.dimension_count": 4 }),
    );
    expect(
      await errorOf(() => tensors.readFloats("model.layers.0.self_attn.q_proj.weight")),
    ).toMatchObject({ code: "TENSOR_SHAPE" });
    const { metadata } = tinyLlama();
    expect(await errorOf(() => read(writeGguf({ metadata, tensors: [] })))).toMatchObject({
      code: "TENSOR_MISSING",
    });
  });
});
