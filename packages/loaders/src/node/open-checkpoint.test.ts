import { mkdir, mkdtemp, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errorOf, loadJson } from "../__fixtures__/load.ts";
import { tinyLlamaFile } from "../__fixtures__/tiny-llama.ts";
import { checkTokenizerFits } from "../checkpoint.ts";
import { openCheckpoint } from "./open-checkpoint.ts";
import { writeSafetensors } from "./write-safetensors.ts";

const { byte_level } =
  loadJson<Readonly<Record<string, { readonly tokenizer: object }>>>("small-tokenizers.json");
const config = { model_type: "llama", hidden_size: 2 };
const tensor = (name: string, ...values: number[]) => ({
  name,
  dtype: "f32" as const,
  shape: [values.length],
  bytes: Float32Array.from(values),
});

let folder = "";
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "latentkit-checkpoint-")), "tiny-model");
  await mkdir(folder);
});
afterEach(() => rm(join(folder, ".."), { recursive: true, force: true }));

const write = (name: string, content: unknown): Promise<void> =>
  writeFile(
    join(folder, name),
    typeof content === "string" || content instanceof Uint8Array
      ? content
      : JSON.stringify(content),
  );

async function writeFolder(): Promise<void> {
  await write("config.json", config);
  await write("tokenizer.json", byte_level?.tokenizer);
  await write("tokenizer_config.json", { bos_token: "<|im_start|>", chat_template: "old" });
  await writeSafetensors(join(folder, "model.safetensors"), [tensor("a", 1, 2), tensor("b", 3)]);
}

async function writeShards(): Promise<void> {
  await write("config.json", config);
  await writeSafetensors(join(folder, "model-1.safetensors"), [tensor("a", 1, 2)]);
  await writeSafetensors(join(folder, "model-2.safetensors"), [tensor("b", 3)]);
  await write("model.safetensors.index.json", {
    metadata: {},
    weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" },
  });
}

async function hashOf(): Promise<string> {
  const checkpoint = await openCheckpoint(folder);
  const hash = await checkpoint.weightsHash();
  await checkpoint.close();
  return hash;
}

describe("openCheckpoint", () => {
  it("opens a folder", async () => {
    await writeFolder();
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint).toMatchObject({ name: "tiny-model", format: "safetensors", config });
    expect([...(await checkpoint.tensors.readFloats("a"))]).toEqual([1, 2]);
    expect(checkpoint.tokenizer?.chatTemplate).toBe("old");
    expect(checkpoint.tokenizer?.decode(checkpoint.tokenizer.encode("hello").ids)).toBe("hello");
    await checkpoint.close();
  });

  it("takes the template from chat_template.jinja, and opens without a tokenizer", async () => {
    await writeFolder();
    await write("chat_template.jinja", "new");
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.tokenizer?.chatTemplate).toBe("new");
    await checkpoint.close();
    await write("tokenizer.json", "broken");
    const without = await openCheckpoint(folder, { tokenizer: false });
    expect(without.tokenizer).toBeNull();
    await without.close();
    await unlink(join(folder, "tokenizer.json"));
    const bare = await openCheckpoint(folder);
    expect(bare.tokenizer).toBeNull();
    await bare.close();
  });

  it("opens shards, and one safetensors file of any name", async () => {
    await writeShards();
    const sharded = await openCheckpoint(folder);
    expect(sharded.tensors.names()).toEqual(["a", "b"]);
    expect([...(await sharded.tensors.readFloats("b"))]).toEqual([3]);
    await sharded.close();
    for (const name of ["model-2.safetensors", "model.safetensors.index.json"])
      await unlink(join(folder, name));
    const one = await openCheckpoint(folder);
    expect(one.tensors.names()).toEqual(["a"]);
    await one.close();
  });

  it("hashes weights the same however they are spread, and otherwise when one changes", async () => {
    await writeFolder();
    const whole = await hashOf();
    expect(whole).toMatch(/^[0-9a-f]{64}$/);
    await unlink(join(folder, "model.safetensors"));
    await writeShards();
    expect(await hashOf()).toBe(whole);
    await writeSafetensors(join(folder, "model-2.safetensors"), [tensor("b", 4)]);
    expect(await hashOf()).not.toBe(whole);
  });

  it("does not remember a hash that was stopped", async () => {
    await writeFolder();
    const checkpoint = await openCheckpoint(folder);
    expect(await errorOf(() => checkpoint.weightsHash(AbortSignal.abort()))).toMatchObject({
      code: "ABORTED",
    });
    expect(await checkpoint.weightsHash()).toMatch(/^[0-9a-f]{64}$/);
    await checkpoint.close();
  });

  it("opens a GGUF file", async () => {
    await write("Tiny.Q8.gguf", tinyLlamaFile());
    const checkpoint = await openCheckpoint(join(folder, "Tiny.Q8.gguf"));
    expect(checkpoint).toMatchObject({
      name: "Tiny.Q8",
      format: "gguf",
      config: { model_type: "llama", num_hidden_layers: 1 },
    });
    expect(checkpoint.tensors.has("model.layers.0.self_attn.q_proj.weight")).toBe(true);
    expect(checkpoint.tokenizer?.specialTokens.eos).toBe(2);
    expect(await checkpoint.weightsHash()).toMatch(/^[0-9a-f]{64}$/);
    await checkpoint.close();
  });
});

describe("openCheckpoint refuses", () => {
  const refusal = async (path = folder): Promise<Awaited<ReturnType<typeof errorOf>>> =>
    errorOf(() => openCheckpoint(path));

  it("a path that is not there", async () => {
    expect(await refusal(join(folder, "none"))).toMatchObject({
      code: "FILE_MISSING",
      name: "IoError",
    });
  });

  it("a folder without config.json, and names the GGUF file that is in it", async () => {
    expect(await refusal()).toMatchObject({ code: "CHECKPOINT_NO_CONFIG", where: folder });
    await write("model.gguf", tinyLlamaFile());
    expect((await refusal()).fix).toContain(join(folder, "model.gguf"));
  });

  it.each([
    ["config.json", "{", "JSON_SYNTAX"],
    ["config.json", "[]", "JSON_SCHEMA"],
    ["tokenizer.json", "<html>", "JSON_SYNTAX"],
    ["tokenizer.json", "{}", "TOKENIZER_JSON"],
    ["tokenizer_config.json", '{"bos_token": 1}', "TOKENIZER_CONFIG"],
    ["model.safetensors", "not safetensors", "SAFETENSORS_HEADER_LENGTH"],
  ])("a folder whose %s is %j", async (name, content, code) => {
    await writeFolder();
    await write(name, content);
    expect(await refusal()).toMatchObject({ code, name: "FormatError" });
  });

  it("a folder without weights, or with several files and no index", async () => {
    await write("config.json", config);
    expect(await refusal()).toMatchObject({ code: "CHECKPOINT_NO_WEIGHTS" });
    await writeShards();
    await unlink(join(folder, "model.safetensors.index.json"));
    const error = await refusal();
    expect(error).toMatchObject({ code: "CHECKPOINT_NO_WEIGHTS" });
    expect(error.message).toContain("model-1.safetensors, model-2.safetensors");
  });

  it("an index whose shard is missing, not safetensors, elsewhere, or without its tensor", async () => {
    await writeShards();
    await unlink(join(folder, "model-2.safetensors"));
    const missing = await refusal();
    expect(missing).toMatchObject({ code: "SHARD_MISSING" });
    expect(missing.message).toContain("model-2.safetensors");
    await writeSafetensors(join(folder, "model-2.safetensors"), [tensor("c", 3)]);
    expect(await refusal()).toMatchObject({ code: "SHARD_INDEX" });
    await writeSafetensors(join(folder, "model-2.safetensors"), [tensor("a", 3), tensor("b", 3)]);
    expect(await refusal()).toMatchObject({ code: "TENSOR_DUPLICATE" });
    for (const elsewhere of ["../secret.safetensors", "/etc/passwd", "model.bin"]) {
      await write("model.safetensors.index.json", { weight_map: { a: elsewhere } });
      expect(await refusal()).toMatchObject({ code: "JSON_SCHEMA" });
    }
  });

  it.each(["pytorch_model.bin", "model.pt", "weights.ckpt", "a.pkl"])(
    "the pickle %s, and says why",
    async (name) => {
      await write(name, "\u0080\u0002");
      const direct = await refusal(join(folder, name));
      expect(direct).toMatchObject({ code: "PICKLE_REFUSED", where: join(folder, name) });
      expect(direct.message).toContain("can run any program");
      expect(direct.fix).toContain("safe_serialization=True");
      await write("config.json", config);
      expect(await refusal()).toMatchObject({ code: "PICKLE_REFUSED" });
    },
  );

  it("a file of another kind, or a GGUF file that is cut short", async () => {
    await write("model.onnx", "x");
    expect(await refusal(join(folder, "model.onnx"))).toMatchObject({ code: "CHECKPOINT_UNKNOWN" });
    await write("model.gguf", tinyLlamaFile().subarray(0, 5000));
    expect(await refusal(join(folder, "model.gguf"))).toMatchObject({
      code: "GGUF_TRUNCATED",
      where: join(folder, "model.gguf"),
    });
  });
});

it("a tokenizer that can name tokens which the model does not have is found", async () => {
  await write("model.gguf", tinyLlamaFile());
  const checkpoint = await openCheckpoint(join(folder, "model.gguf"));
  const { tokenizer } = checkpoint;
  if (tokenizer === null) throw new RangeError("no tokenizer");
  checkTokenizerFits(tokenizer, tokenizer.vocabularySize);
  checkTokenizerFits(tokenizer, tokenizer.vocabularySize + 64);
  const error = await errorOf(() =>
    checkTokenizerFits(tokenizer, tokenizer.vocabularySize - 1, "model.gguf"),
  );
  expect(error).toMatchObject({
    code: "TOKENIZER_TOO_LARGE",
    name: "MismatchError",
    where: "model.gguf",
  });
  await checkpoint.close();
});
