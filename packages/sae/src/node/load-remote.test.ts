import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeSae, loadSae, type OpenSaeOptions } from "./load-sae.ts";

// The hub and a web server, as far as SAEs need them, over the fixtures of other libraries' formats.
const fixtures = fileURLToPath(new URL("../__fixtures__/formats", import.meta.url));
const commit = "c".repeat(40);
const folder = mkdtempSync(join(tmpdir(), "latentkit-sae-remote-"));
const device = new Device(createReferenceBackend());

/** Repositories, and the files of each by their paths. */
const repositories: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "google/gemma-scope-2b-pt-res": {
    "README.md":
      "gemma-scope/google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71/params.npz",
    ...Object.fromEntries(
      [16, 71, 139, 408].map((l0) => [
        `layer_20/width_16k/average_l0_${l0}/params.npz`,
        `gemma-scope/google/gemma-scope-2b-pt-res/${l0 === 71 ? "layer_20/width_16k/average_l0_71" : "embedding/width_4k/average_l0_6"}/params.npz`,
      ]),
    ),
    "embedding/width_4k/average_l0_6/params.npz":
      "gemma-scope/google/gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6/params.npz",
  },
  "Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3": {
    "layer5.sae.pt": "torch/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3/layer5.sae.pt",
    "layer6.sae.pt": "torch/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3/layer5.sae.pt",
  },
  "Goodfire/Llama-3.1-8B-Instruct-SAE-l19": {
    "Llama-3.1-8B-Instruct-SAE-l19.pth":
      "torch/Goodfire/Llama-3.1-8B-Instruct-SAE-l19/Llama-3.1-8B-Instruct-SAE-l19.pth",
  },
  "JoshEngels/Mistral-7B-Residual-Stream-SAEs": {
    "mistral_7b_layer_8/cfg.json": "saelens/legacy-gated/cfg.json",
    "mistral_7b_layer_8/sae_weights.safetensors": "saelens/legacy-gated/sae_weights.safetensors",
  },
  "org/lens": {
    "a/cfg.json": "saelens/abstopk/cfg.json",
    "a/sae_weights.safetensors": "saelens/abstopk/sae_weights.safetensors",
  },
};

const seen: string[] = [];
let server: Server;
let endpoint = "";
beforeAll(async () => {
  server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname);
    seen.push(`${request.method} ${path}`);
    const [, listed = ""] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/main$/u.exec(path) ?? [];
    const [, repo = "", file = ""] =
      new RegExp(`^/([^/]+/[^/]+)/resolve/${commit}/(.+)$`, "u").exec(path) ?? [];
    const files = repositories[listed === "" ? repo : listed];
    const fixture = join(
      fixtures,
      path.startsWith("/files/") ? path.slice(7) : (files?.[file] ?? "nothing"),
    );
    if (listed !== "" && files !== undefined) {
      const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
      response.end(JSON.stringify({ sha: commit, siblings }));
    } else if (existsSync(fixture) && statSync(fixture).isFile()) {
      const bytes = readFileSync(fixture);
      response
        .writeHead(200, {
          etag: `"${Buffer.from(fixture).toString("hex").slice(-100)}"`,
          "content-length": bytes.length,
        })
        .end(request.method === "HEAD" ? undefined : bytes);
    } else response.writeHead(404, { "x-error-code": "RepoNotFound" }).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

const options = (env: object = {}): OpenSaeOptions => ({
  remote: { retries: 1, firstDelayMs: 1, env: { HF_ENDPOINT: endpoint, HF_HOME: folder, ...env } },
});
const load = (source: string, env: object = {}) => loadSae(source, { device, ...options(env) });
const local = (path: string) => loadSae(join(fixtures, path), { device });
const gemma = "gemma-scope/google/gemma-scope-2b-pt-res";

describe("SAEs of the hub", () => {
  it.each([
    "gemma-scope-2b-pt-res-canonical/layer_20/width_16k/canonical",
    "gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71",
    "google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71",
    "google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71/params.npz",
    "google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71@main",
  ])("%s", async (name) => {
    using sae = await load(name);
    using same = await local(`${gemma}/layer_20/width_16k/average_l0_71`);
    expect(await sae.identity()).toBe(await same.identity());
    expect(sae.config.metadata).toMatchObject({
      modelName: "google/gemma-2-2b",
      hookName: "blocks.20.hook_resid_post",
    });
  });

  it("by their releases' names, with what a name says: k, the model, the scale of embeddings", async () => {
    using embedding = await load("gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6");
    using same = await local(`${gemma}/embedding/width_4k/average_l0_6`);
    expect(await embedding.identity()).toBe(await same.identity());
    const qwen = await describeSae("qwen-scope-3-1.7b-base-w32k-l3/layer5", options());
    expect(qwen).toMatchObject({
      format: "qwen-scope",
      config: { k: 3, metadata: { modelName: "Qwen/Qwen3-1.7B-Base" } },
    });
    const goodfire = await describeSae("goodfire-llama-3.1-8b-instruct/layer_19", options());
    expect(goodfire).toMatchObject({ format: "goodfire", config: { architecture: "jumprelu" } });
    const mistral = await describeSae("mistral-7b-res-wg/blocks.8.hook_resid_pre", options());
    expect(mistral.config.normalizeActivations).toBe("constant_norm_rescale");
    using lens = await load("org/lens/a");
    expect(lens.config.architecture).toBe("abstopk");
  });

  it("fetches no more than one SAE has, and reads it without a network after that", async () => {
    seen.length = 0;
    const fresh = { HF_HOME: join(folder, "fresh") };
    (await load("org/lens/a", fresh)).dispose();
    expect(seen.filter((line) => line.startsWith("GET /org"))).toHaveLength(2);
    seen.length = 0;
    (await load("org/lens/a", { ...fresh, HF_HUB_OFFLINE: "1" })).dispose();
    expect(seen).toEqual([]);
    expect(readdirSync(join(folder, "fresh/hub"))).toContain("models--org--lens");
    // Of the cache's few, the one nearest to an L0 of 100 need not be the repository's.
    const gemmaScope = "gemma-scope-2b-pt-res";
    (await load(`${gemmaScope}/layer_20/width_16k/average_l0_16`, fresh)).dispose();
    const offline = { ...fresh, HF_HUB_OFFLINE: "1" };
    (await load(`${gemmaScope}/layer_20/width_16k/average_l0_16`, offline)).dispose();
    await expect(
      load(`${gemmaScope}-canonical/layer_20/width_16k/canonical`, offline),
    ).rejects.toMatchObject({
      code: "SAE_CANONICAL_OFFLINE",
      message: expect.stringContaining("average_l0_16") as string,
    });
  });

  it.each([
    [
      "google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_70",
      "SAE_NOT_FOUND",
      /did you mean "layer_20\/width_16k\/average_l0_71"/u,
    ],
    [
      "gemma-scope-2b-pt-res-canonical/layer_21/width_16k/canonical",
      "SAE_NOT_FOUND",
      /did you mean "layer_20\/width_16k"/u,
    ],
    [
      "Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3/layer7.sae.pt",
      "SAE_NOT_FOUND",
      /did you mean "layer[56]\.sae\.pt"/u,
    ],
    [
      "google/gemma-scope-2b-pt-res",
      "SAE_FORMAT_UNKNOWN",
      /found README\.md, layer_20\/width_16k/u,
    ],
    [
      "gemma-scope-2b-pt-rse/layer_20",
      "SAE_RELEASE_UNKNOWN",
      /did you mean "gemma-scope-2b-pt-res"/u,
    ],
    ["org/nothing/layer_1", "HUB_REPO_MISSING", /./u],
    ["nowhere", "FILE_MISSING", /./u],
  ])("%s is explained", async (name, code, says) => {
    const loading = load(name);
    await expect(loading).rejects.toMatchObject({ code });
    await expect(loading).rejects.toThrow(says);
  });
});

describe("SAEs of web servers", () => {
  it.each([
    ["saelens/whitened-topk/", "saelens"],
    ["dictionary-learning/BatchTopKSAE/trainer_0/", "dictionary-learning"],
    ["dictionary-learning/BatchTopKSAE/trainer_0/ae.pt?token=1", "dictionary-learning"],
    ["llama-scope/Llama3_1-8B-Base-L3R-8x/", "llama-scope"],
    [`${gemma}/layer_20/width_16k/average_l0_71/params.npz`, "gemma-scope"],
    [
      "torch/qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19/DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt",
      "deepseek-r1",
    ],
  ])("%s", async (path, format) => {
    const url = `${endpoint}/files/${path}`;
    expect(await describeSae(url, options())).toMatchObject({ format });
    using sae = await load(url);
    using same = await local(path.replace(/\?.*/u, ""));
    expect(await sae.identity()).toBe(await same.identity());
  });

  it("without one say so", async () => {
    await expect(load(`${endpoint}/files/nothing/`)).rejects.toMatchObject({
      code: "SAE_FORMAT_UNKNOWN",
    });
    await expect(load(`${endpoint}/files/nothing.npz`)).rejects.toMatchObject({
      code: "HTTP_MISSING",
    });
  });
});
