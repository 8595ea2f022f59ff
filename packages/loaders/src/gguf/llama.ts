import { FormatError } from "@latentkit/core";
import { decodeFloats, decodeIntegers } from "../decode-elements.ts";
import { defaultPieceBytes, findTensor } from "../tensor-store.ts";
import type {
  PieceOptions,
  ReadOptions,
  TensorInfo,
  TensorPiece,
  TensorStore,
} from "../tensor-store.ts";
import { MetadataReader } from "./metadata-reader.ts";
import type { GgufStore } from "./open-gguf.ts";

/** The keys of Hugging Face's `LlamaConfig` that a GGUF file decides. */
export interface LlamaConfigJson {
  readonly model_type: "llama";
  readonly architectures: readonly ["LlamaForCausalLM"];
  readonly hidden_act: "silu";
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly intermediate_size: number;
  readonly vocab_size: number;
  readonly rope_theta: number;
  readonly rms_norm_eps: number;
  readonly max_position_embeddings: number;
  readonly tie_word_embeddings: boolean;
  readonly attention_bias: boolean;
  readonly mlp_bias: boolean;
  readonly bos_token_id: number | null;
  readonly eos_token_id: number | null;
  /** Null for plain RoPE. Otherwise what the file asks for; models that cannot do it must refuse. */
  readonly rope_scaling: Readonly<Record<string, string | number>> | null;
}

const layerNames: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

const outerNames: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

/**
 * The configuration and tensors of a Llama-family GGUF file under Hugging Face's names. Rows of the q and k projections are put
 * back into Hugging Face's order: llama.cpp stores the two halves of each head interleaved for its way of rotating.
 *
 * Throws {@link FormatError} `GGUF_ARCHITECTURE` for another architecture and `GGUF_METADATA` for missing metadata.
 */
export function llamaFromGguf(store: GgufStore): {
  readonly config: LlamaConfigJson;
  readonly tensors: TensorStore;
} {
  const read = new MetadataReader(store.metadata, store.name);
  const architecture = read.string("general.architecture");
  if (architecture !== "llama") {
    throw new FormatError({
      code: "GGUF_ARCHITECTURE",
      message: `the file holds a model of architecture "${architecture}"; "llama" can be read`,
      fix: "use a model of the Llama family, or a safetensors folder",
      where: store.name,
    });
  }
  const config = llamaConfig(read, store);
  const heads = new Map([
    ["attn_q", config.num_attention_heads],
    ["attn_k", config.num_key_value_heads],
  ]);
  const tensors = new Map<string, RenamedTensor>();
  for (const name of store.names()) {
    const [, layer, part = "", ending] = /^blk\.(\d+)\.([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
    const inner = layerNames[part];
    const renamed =
      inner === undefined ? (outerNames[name] ?? name) : `model.layers.${layer}.${inner}.${ending}`;
    tensors.set(renamed, { stored: name, heads: heads.get(part) ?? null });
  }
  return { config, tensors: renamedStore(store, tensors) };
}

function llamaConfig(read: MetadataReader, store: GgufStore): LlamaConfigJson {
  const hidden = read.count("llama.embedding_length");
  const heads = read.count("llama.attention.head_count");
  const embedding = store.info("token_embd.weight");
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    hidden_size: hidden,
    num_hidden_layers: read.count("llama.block_count"),
    num_attention_heads: heads,
    num_key_value_heads: read.count("llama.attention.head_count_kv", heads),
    head_dim: headWidth(read, hidden, heads, store.name),
    intermediate_size: read.count("llama.feed_forward_length"),
    vocab_size: embedding.shape[0] ?? 0,
    rope_theta: read.number("llama.rope.freq_base", 10_000),
    rms_norm_eps: read.number("llama.attention.layer_norm_rms_epsilon"),
    max_position_embeddings: read.count("llama.context_length"),
    tie_word_embeddings: !store.has("output.weight"),
    attention_bias: store.has("blk.0.attn_q.bias"),
    mlp_bias: store.has("blk.0.ffn_up.bias"),
    bos_token_id: read.has("tokenizer.ggml.bos_token_id")
      ? read.count("tokenizer.ggml.bos_token_id")
      : null,
    eos_token_id: read.has("tokenizer.ggml.eos_token_id")
      ? read.count("tokenizer.ggml.eos_token_id")
      : null,
    rope_scaling: ropeScaling(read, store),
  };
}

function headWidth(read: MetadataReader, hidden: number, heads: number, where: string): number {
  for (const key of ["llama.attention.key_length", "llama.rope.dimension_count"])
    if (read.has(key)) return read.count(key);
  if (hidden % heads === 0) return hidden / heads;
  throw new FormatError({
    code: "GGUF_METADATA",
    message: `llama.embedding_length is ${hidden}, which is not a multiple of llama.attention.head_count, ${heads}`,
    fix: "convert the model again with a current llama.cpp",
    where,
  });
}

function ropeScaling(
  read: MetadataReader,
  store: GgufStore,
): Readonly<Record<string, string | number>> | null {
  // Llama 3.1's scaling is stored as one factor for each frequency, not as the numbers it was made from.
  if (store.has("rope_freqs.weight"))
    return { rope_type: "gguf-frequency-factors", tensor: "rope_freqs.weight" };
  const type = read.has("llama.rope.scaling.type")
    ? read.string("llama.rope.scaling.type")
    : "none";
  return type === "none"
    ? null
    : { rope_type: type, factor: read.number("llama.rope.scaling.factor", 1) };
}

interface RenamedTensor {
  readonly stored: string;
  /** Heads whose rows are interleaved, or null where rows are in order. */
  readonly heads: number | null;
}

function renamedStore(store: GgufStore, tensors: ReadonlyMap<string, RenamedTensor>): TensorStore {
  const names = [...tensors.keys()].sort();
  const info = (name: string): TensorInfo => ({
    ...store.info(findTensor(tensors, name, store.name).stored),
    name,
  });
  const readBytes = async (
    name: string,
    options?: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>> => {
    const { stored, heads } = findTensor(tensors, name, store.name);
    const bytes = await store.readBytes(stored, options);
    if (heads === null) return bytes;
    return deinterleaveRows(bytes, heads, rowsOfHead(info(name), heads, store.name));
  };
  async function* readPieces(
    name: string,
    options: PieceOptions = {},
  ): AsyncGenerator<TensorPiece> {
    const { stored, heads } = findTensor(tensors, name, store.name);
    if (heads === null) {
      yield* store.readPieces(stored, options);
      return;
    }
    // Rows move inside their head only, so a piece of whole heads can be put in order by itself.
    const headRows = rowsOfHead(info(name), heads, store.name);
    const headBytes = info(name).byteLength / heads;
    const headsOfPiece = Math.max(
      1,
      Math.floor((options.pieceBytes ?? defaultPieceBytes) / headBytes),
    );
    const pieces = store.readPieces(stored, { ...options, pieceBytes: headsOfPiece * headBytes });
    for await (const { byteOffset, bytes } of pieces)
      yield { byteOffset, bytes: deinterleaveRows(bytes, bytes.length / headBytes, headRows) };
  }
  return {
    name: store.name,
    names: () => names,
    has: (name) => tensors.has(name),
    info,
    async readFloats(name, options) {
      const { format, shape } = info(name);
      const size = shape.reduce((product, axis) => product * axis, 1);
      return decodeFloats(
        await readBytes(name, options),
        format,
        size,
        `${store.name}, tensor "${name}"`,
      );
    },
    async readIntegers(name, options) {
      return decodeIntegers(
        await readBytes(name, options),
        info(name).format,
        `${store.name}, tensor "${name}"`,
      );
    },
    readBytes,
    readPieces,
    close: () => store.close(),
  };
}

/** Rows of each head; throws where the heads do not divide the tensor's rows into pairs. */
function rowsOfHead(info: TensorInfo, heads: number, where: string): number {
  const rows = info.shape[0] ?? 0;
  if (Number.isInteger(rows / heads / 2)) return rows / heads;
  throw new FormatError({
    code: "TENSOR_SHAPE",
    message: `tensor "${info.name}" has ${rows} rows, which are not ${heads} heads of an even width`,
    fix: "the file is damaged or was converted wrongly: get it again",
    where,
  });
}

/** Row `2 i + j` of each head goes to row `i + j * half`. Rows are whole blocks, so this works on the bytes of any format. */
function deinterleaveRows(
  bytes: Uint8Array<ArrayBuffer>,
  heads: number,
  headRows: number,
): Uint8Array<ArrayBuffer> {
  const rows = heads * headRows;
  const half = headRows / 2;
  const width = bytes.length / rows;
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headRows;
    const from = row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    result.set(bytes.subarray(from * width, (from + 1) * width), row * width);
  }
  return result;
}
