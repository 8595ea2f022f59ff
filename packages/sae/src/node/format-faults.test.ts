import { encodeNpz, openSafetensors, bytesSource, parseNpz } from "@latentkit/loaders";
import { writeSafetensors } from "@latentkit/loaders/node";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { loadSae, type OpenSaeOptions } from "./load-sae.ts";

// Checkpoints of other libraries with one thing wrong.
const fixtures = fileURLToPath(new URL("../__fixtures__/formats", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "latentkit-faults-"));
const device = new Device(createReferenceBackend());
afterAll(() => {
  rmSync(folder, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

let copies = 0;
const copyOf = (path: string): string => {
  const copy = join(folder, String(copies++));
  cpSync(join(fixtures, path), copy, { recursive: true });
  return copy;
};

/** Changes a JSON file. */
const json =
  (file: string, change: (value: Record<string, unknown>) => unknown) => (path: string) => {
    const place = join(path, file);
    const value = z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(place, "utf8")));
    writeFileSync(place, JSON.stringify(change(value)));
  };

type Tensors = Map<string, { shape: number[]; values: Float32Array<ArrayBuffer> }>;

/** Changes a safetensors file. */
const tensors = (file: string, change: (tensors: Tensors) => void) => async (path: string) => {
  const place = join(path, file);
  const store = await openSafetensors(bytesSource(readFileSync(place), place));
  const held: Tensors = new Map();
  for (const name of store.names())
    held.set(name, { shape: [...store.info(name).shape], values: await store.readFloats(name) });
  change(held);
  await writeSafetensors(
    place,
    [...held].map(([name, { shape, values }]) => ({ name, dtype: "f32", shape, bytes: values })),
  );
};

/** Changes a numpy archive. */
const arrays = (change: (arrays: Tensors) => void) => async (path: string) => {
  const place = join(path, "params.npz");
  const held: Tensors = new Map();
  for (const [name, { shape, values }] of await parseNpz(
    new Uint8Array(readFileSync(place)),
    place,
  ))
    held.set(name, { shape: [...shape], values });
  change(held);
  writeFileSync(place, encodeNpz(Object.fromEntries(held)));
};

const trainer = (changes: object) =>
  json("config.json", (value) => ({
    ...value,
    trainer: { ...z.looseObject({}).parse(value["trainer"]), ...changes },
  }));

interface Fault {
  readonly what: string;
  readonly path: string;
  readonly change: (path: string) => Promise<void> | void;
  readonly code: string;
  readonly says: RegExp;
  readonly options?: OpenSaeOptions;
}

const dictionary = "dictionary-learning/BatchTopKSAE/trainer_0";
const gemma = "gemma-scope/google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71";
const gemma2 = "gemma-scope-2/google/gemma-scope-2-270m-pt/transcoder/layer_5_width_16k_l0_small";
const llama = "llama-scope/Llama3_1-8B-Base-L3R-8x";

const faults: readonly Fault[] = [
  {
    what: "ae.pt without config.json",
    path: dictionary,
    change: (path) => rmSync(join(path, "config.json")),
    code: "SAE_FILES_MISSING",
    says: /config\.json/u,
  },
  {
    what: "a class that is not known",
    path: dictionary,
    change: trainer({ dict_class: "BatchTopkSAE" }),
    code: "SAE_ARCHITECTURE_UNKNOWN",
    says: /did you mean "BatchTopKSAE"/u,
  },
  {
    what: "a class that the weights are not of",
    path: dictionary,
    change: trainer({ dict_class: "GatedAutoEncoder" }),
    code: "TENSOR_MISSING",
    says: /mag_bias/u,
  },
  {
    what: "a configuration without trainer",
    path: dictionary,
    change: json("config.json", () => ({})),
    code: "SAE_CONFIG_INVALID",
    says: /trainer/u,
  },
  {
    what: "a state dict that is a program",
    path: dictionary,
    change: (path) => {
      const evil = Buffer.from("\u0080\u0002cposix\nsystem\n", "latin1");
      const bytes = readFileSync(join(path, "ae.pt"));
      const at = bytes.indexOf(Buffer.from("\u0080\u0002ccollections", "latin1"));
      evil.copy(bytes, at);
      // The archive's checksum of data.pkl, in the directory and in front of it, would tell; so would the reader.
      writeFileSync(join(path, "ae.pt"), bytes);
    },
    code: "TORCH_FILE",
    says: /not those that were put in/u,
  },
  {
    what: "an activation that is not computed",
    path: "sparsify/layers.3",
    change: json("cfg.json", (value) => ({ ...value, activation: "groupmax" })),
    code: "SAE_UNSUPPORTED",
    says: /groupmax/u,
  },
  {
    what: "a decoder the wrong way round",
    path: "sparsify/layers.3",
    change: tensors("sae.safetensors", (held) => {
      held.get("W_dec")?.shape.reverse();
    }),
    code: "SAE_WEIGHTS_SHAPE",
    says: /W_dec has shape \[6, 16\].*\[16, 6\]/su,
  },
  {
    what: "a k above the number of latents",
    path: "sparsify/layers.3",
    change: json("cfg.json", (value) => ({ ...value, k: 17 })),
    code: "SAE_CONFIG_INVALID",
    says: /k is 17.*16 latents/su,
  },
  {
    what: "an array that is missing",
    path: gemma,
    change: arrays((held) => held.delete("threshold")),
    code: "TENSOR_MISSING",
    says: /threshold/u,
  },
  {
    what: "a weight that is no number",
    path: gemma,
    change: arrays((held) => held.get("W_dec")?.values.set([Number.NaN], 5)),
    code: "SAE_WEIGHTS_NOT_FINITE",
    says: /W_dec holds NaN at element 5/u,
  },
  {
    what: "a scaling factor that nothing explains",
    path: gemma,
    change: arrays((held) =>
      held.set("scaling_factor", { shape: [16], values: new Float32Array(16) }),
    ),
    code: "SAE_UNSUPPORTED",
    says: /finetuning_scaling_factor/u,
  },
  {
    what: "a cross-layer transcoder",
    path: gemma2,
    change: tensors("params.safetensors", (held) => {
      held.get("w_dec")?.shape.splice(1, 1, 2, 2);
    }),
    code: "SAE_ARCHITECTURE_UNKNOWN",
    says: /cross-layer/u,
  },
  {
    what: "another architecture in config.json",
    path: gemma2,
    change: (path) => writeFileSync(join(path, "config.json"), '{"architecture":"topk"}'),
    code: "SAE_CONFIG_INVALID",
    says: /architecture/u,
  },
  {
    what: "a mean norm of 0",
    path: llama,
    change: json("hyperparams.json", (value) => ({
      ...value,
      dataset_average_activation_norm: { in: 0 },
    })),
    code: "SAE_CONFIG_INVALID",
    says: /dataset_average_activation_norm\.in/u,
  },
  {
    what: "an input's scale that is not in the files",
    path: "llama-scope/800M-Slimpajama-0-OpenR1-Math-220k/L3R",
    change: () => undefined,
    code: "SAE_INPUT_SCALE_UNKNOWN",
    says: /factor is not in its files/u,
  },
  {
    what: "a TopK that does not say its k",
    path: "torch/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3",
    change: () => undefined,
    code: "SAE_K_UNKNOWN",
    says: /how many latents/u,
  },
  {
    what: "whitening of another width",
    path: "saelens/whitened-topk",
    change: tensors("activation_whitening.safetensors", (held) => {
      held.set("mean", { shape: [3], values: new Float32Array(3) });
    }),
    code: "SAE_WEIGHTS_SHAPE",
    says: /mean has shape \[3\]/u,
  },
  {
    what: "whitening that is not there",
    path: "saelens/whitened-gated",
    change: (path) => rmSync(join(path, "activation_whitening.safetensors")),
    code: "SAE_WHITENING_UNKNOWN",
    says: /whitened/u,
  },
  {
    what: "a fine-tuned scale of another size",
    path: "saelens/legacy-gated",
    change: tensors("sae_weights.safetensors", (held) => {
      held.set("scaling_factor", { shape: [2], values: new Float32Array(2) });
    }),
    code: "SAE_WEIGHTS_SHAPE",
    says: /scaling_factor/u,
  },
  {
    what: "an empty folder",
    path: "saelens/abstopk",
    change: (path) => {
      rmSync(join(path, "cfg.json"));
      renameSync(join(path, "sae_weights.safetensors"), join(path, "weights.bin"));
    },
    code: "SAE_FORMAT_UNKNOWN",
    says: /found weights\.bin/u,
  },
];

describe("a checkpoint with one thing wrong says which", () => {
  it.each(faults)("$what", async ({ path, change, code, says, options = {} }) => {
    const copy = copyOf(path);
    await change(copy);
    const loading = loadSae(copy, { device, ...options });
    await expect(loading).rejects.toMatchObject({ code });
    await expect(loading).rejects.toThrow(says);
  });

  it("what the files lack can be given: k, the input's scale, the model and the site", async () => {
    const file = join(copyOf("torch/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3"), "layer5.sae.pt");
    const metadata = { modelName: "example/model", hookName: "blocks.1.hook_mlp_out" };
    using sae = await loadSae(file, { device, k: 5, metadata });
    expect(sae.config).toMatchObject({ architecture: "topk", k: 5, metadata });
  });

  it("a fine-tuned scaling factor multiplies what each latent writes", async () => {
    const copy = copyOf("saelens/legacy-gated");
    await tensors("sae_weights.safetensors", (held) => {
      const values = Float32Array.from({ length: 16 }, (_, latent) => 1 + latent / 8);
      held.set("scaling_factor", { shape: [16], values });
    })(copy);
    await expect(loadSae(copy, { device })).rejects.toMatchObject({ code: "SAE_UNSUPPORTED" });
    json("cfg.json", (value) => ({ ...value, finetuning_scaling_factor: true }))(copy);
    using plain = await loadSae(join(fixtures, "saelens/legacy-gated"), { device });
    using scaled = await loadSae(copy, { device });
    const [before, after] = [await plain.weights(), await scaled.weights()];
    expect(after.encoderRows).toEqual(before.encoderRows);
    const expected = before.decoder.map((value, at) => value * (1 + Math.floor(at / 6) / 8));
    expect(after.decoder).toEqual(expected);
  });
});
