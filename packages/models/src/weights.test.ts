import { AbortedError } from "@latentkit/core";
import type { TensorStore } from "@latentkit/loaders";
import { StoredWeight, Tensor } from "@latentkit/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import {
  byteTokenizer,
  checkpointOf,
  deviation,
  openTiny,
  read,
  referenceDevice,
} from "./__fixtures__/support.ts";
import { loadModel } from "./load-model.ts";

type Tiny = Awaited<ReturnType<typeof openTiny>>;

let tied: Tiny;
let untied: Tiny;
beforeAll(async () => {
  tied = await openTiny("tiny-tied");
  untied = await openTiny("tiny-untied");
});

/** The store without some names, and with others added under an existing tensor's content. */
function changed(
  store: TensorStore,
  { without = [], added = {} }: { without?: string[]; added?: Record<string, string> },
): TensorStore {
  const names = [...store.names().filter((name) => !without.includes(name)), ...Object.keys(added)];
  const real = (name: string) => added[name] ?? name;
  return {
    ...store,
    name: "changed.safetensors",
    names: () => names,
    has: (name) => names.includes(name),
    info: (name) => ({ ...store.info(real(name)), name }),
    readFloats: (name, options) => store.readFloats(real(name), options),
    readPieces: (name, options) => store.readPieces(real(name), options),
  };
}

async function refusal(checkpoint: Tiny): Promise<unknown> {
  const device = referenceDevice();
  const error: unknown = await loadModel(checkpoint, { device }).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(device.memory().liveBytes).toBe(0);
  return error;
}

describe("loadModel", () => {
  it("shares storage between tied embeddings and frees everything", async () => {
    const device = referenceDevice();
    const model = await loadModel(tied, { device });
    const { vocabulary, dModel } = model.config;
    const stored = tied.tensors
      .names()
      .reduce((sum, name) => sum + tied.tensors.info(name).byteLength, 0);
    const tables = 2 * model.config.contextSize * (model.config.dHead / 2) * 4;
    expect(device.memory().liveBytes).toBe(stored + tables);
    expect(await model.unembedding().floats()).toEqual(
      await model.parameter("model.embed_tokens.weight").floats(),
    );
    expect(model.unembedding().shape).toEqual([vocabulary, dModel]);
    expect(model.finalNormWeight().shape).toEqual([dModel]);
    model.dispose();
    expect(device.memory().liveBytes).toBe(0);
  });

  it("gives the checkpoint's values by their names and its identity", async () => {
    const device = referenceDevice();
    const model = await loadModel(untied, { device });
    const name = "model.layers.1.mlp.down_proj.weight";
    expect(await model.parameter(name).floats()).toEqual(await untied.tensors.readFloats(name));
    expect(model.identity()).toEqual({
      name: "fixture",
      architecture: "llama",
      weightsHash: "0".repeat(64),
    });
    expect(() => model.parameter("W_E")).toThrow(
      expect.objectContaining({ code: "PARAMETER_UNKNOWN" }),
    );
    model.dispose();
  });

  it("keeps matrices as they are stored, or as tensors if asked to, and computes the same", async () => {
    const device = referenceDevice();
    const stored = await loadModel(tied, { device });
    const plain = await loadModel(tied, { device, weights: "f32" });
    const name = "model.layers.0.self_attn.q_proj.weight";
    expect(stored.weight(name)).toBeInstanceOf(StoredWeight);
    expect(plain.weight(name)).toBeInstanceOf(Tensor);
    expect(plain.parameter(name)).toBe(plain.weight(name));
    expect(stored.weight("model.norm.weight")).toBeInstanceOf(Tensor);
    // Copied once, kept until the model goes.
    expect(stored.parameter(name)).toBe(stored.parameter(name));
    expect(await stored.parameter(name).floats()).toEqual(await plain.parameter(name).floats());
    const [a, b] = [await read(stored, [[1, 2, 3]]), await read(plain, [[1, 2, 3]])];
    expect(deviation(a.logits, b.logits)).toBeLessThan(1e-6);
    stored.dispose();
    plain.dispose();
    expect(device.memory().liveBytes).toBe(0);
  });

  it("reports bytes as they are read", async () => {
    const device = referenceDevice();
    const done: number[] = [];
    const totals = new Set<number | undefined>();
    const onProgress = (event: { done: number; total?: number | undefined }) => {
      done.push(event.done);
      totals.add(event.total);
    };
    (await loadModel(untied, { device, onProgress })).dispose();
    expect(totals).toEqual(new Set([done.at(-1)]));
    expect(done).toEqual(done.toSorted((a, b) => a - b));
  });

  it("stops on request and keeps nothing", async () => {
    const device = referenceDevice();
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    await expect(
      loadModel(tied, { device, signal: controller.signal, onProgress }),
    ).rejects.toThrow(AbortedError);
    expect(device.memory().liveBytes).toBe(0);
  });

  it("names every missing tensor", async () => {
    const without = ["model.norm.weight", "model.layers.0.self_attn.q_proj.weight"];
    expect(
      await refusal(checkpointOf(tied.config, changed(tied.tensors, { without }))),
    ).toMatchObject({
      code: "WEIGHTS_MISSING",
      where: "changed.safetensors",
      message: expect.stringMatching(/^2 of \d+ .*q_proj\.weight.*model\.norm\.weight/),
    });
  });

  it("names every tensor of another shape with both shapes", async () => {
    const config = { ...Object(tied.config), intermediate_size: 45 };
    expect(await refusal(checkpointOf(config, tied.tensors))).toMatchObject({
      code: "WEIGHTS_SHAPE",
      message: expect.stringContaining(
        "model.layers.2.mlp.gate_proj.weight is [44, 36] and should be [45, 36]",
      ),
    });
  });

  it("refuses weights that it would leave out", async () => {
    const added = { "model.layers.0.self_attn.q_proj.bias": "model.norm.weight" };
    expect(
      await refusal(checkpointOf(tied.config, changed(tied.tensors, { added }))),
    ).toMatchObject({
      code: "WEIGHTS_UNEXPECTED",
      message: expect.stringContaining("q_proj.bias"),
    });
  });

  it("refuses a tied unembedding that differs from its embedding", async () => {
    const config = { ...Object(untied.config), tie_word_embeddings: true };
    expect(await refusal(checkpointOf(config, untied.tensors))).toMatchObject({
      code: "WEIGHTS_TIED",
      message: expect.stringMatching(/ties lm_head\.weight to model\.embed_tokens\.weight/),
      fix: expect.stringContaining('"tie_word_embeddings": false'),
    });
    // Of another shape or format it is another one as well.
    const added = { "lm_head.weight": "model.norm.weight" };
    expect(
      await refusal(checkpointOf(tied.config, changed(tied.tensors, { added }))),
    ).toMatchObject({ code: "WEIGHTS_TIED" });
  });

  it("says what a lone missing unembedding may mean", async () => {
    const config = { ...Object(tied.config), tie_word_embeddings: false };
    expect(await refusal(checkpointOf(config, tied.tensors))).toMatchObject({
      code: "WEIGHTS_MISSING",
      message: expect.stringContaining("lm_head.weight"),
      fix: expect.stringContaining('"tie_word_embeddings": true'),
    });
  });

  it("leaves out what it computes itself and a tied model's copy of its embedding", async () => {
    const added = {
      "model.layers.0.self_attn.rotary_emb.inv_freq": "model.norm.weight",
      "lm_head.weight": "model.embed_tokens.weight",
    };
    const device = referenceDevice();
    (
      await loadModel(checkpointOf(tied.config, changed(tied.tensors, { added })), { device })
    ).dispose();
    expect(device.memory().liveBytes).toBe(0);
  });

  it("refuses a tokenizer with more tokens than the vocabulary", async () => {
    expect(await refusal(checkpointOf(tied.config, tied.tensors, byteTokenizer()))).toMatchObject({
      code: "TOKENIZER_TOO_LARGE",
    });
  });

  it("frees what it loaded when the hash cannot be computed", async () => {
    const broken = {
      ...tied,
      weightsHash: () =>
        Promise.reject(new AbortedError({ code: "ABORTED", message: "", fix: "" })),
    };
    expect(await refusal(broken)).toBeInstanceOf(AbortedError);
  });
});
