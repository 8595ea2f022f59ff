import { createServer, type Server } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeSafetensors } from "@latentkit/loaders";
import { afterAll, beforeAll, expect, it } from "vitest";
import { run } from "../testing/run.ts";

const config = {
  model_type: "llama",
  hidden_size: 4,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 3,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  rope_theta: 10_000,
  tie_word_embeddings: true,
};
const files: Readonly<Record<string, Uint8Array>> = {
  "config.json": new TextEncoder().encode(JSON.stringify(config)),
  "model.safetensors": encodeSafetensors([
    {
      name: "model.embed_tokens.weight",
      dtype: "f32",
      shape: [3, 4],
      bytes: new Float32Array(12),
    },
  ]),
};
const commit = "a".repeat(40);

let server: Server;
let endpoint = "";
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-remote-"));
  // The hub, as far as one model needs it. Its tags are no hashes here; packages/loaders tests those.
  server = createServer((request, response) => {
    const path = request.url?.split("?")[0] ?? "";
    const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
    const file = files[path.split("/").at(-1) ?? ""];
    if (path === "/api/models/org/tiny/revision/main")
      response.end(JSON.stringify({ sha: commit, siblings }));
    else if (path.startsWith(`/org/tiny/resolve/${commit}/`) && file !== undefined)
      response
        .writeHead(200, { etag: `"tag-${path.length}"`, "content-length": file.length })
        .end(request.method === "HEAD" ? undefined : file);
    else response.writeHead(404, { "x-error-code": "RepoNotFound" }).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const inspect = (source: string, env: object = {}) =>
  run(["inspect", source, "--json"], { env: { HF_ENDPOINT: endpoint, HF_HOME: folder, ...env } });

it("inspects a model of the hub, and again without a network", async () => {
  const online = await inspect("org/tiny");
  expect(online.code, online.stderr).toBe(0);
  expect(JSON.parse(online.stdout)).toMatchObject({
    kind: "model",
    facts: { name: "tiny", architecture: "llama", parameters: 12 },
  });
  expect(online.stderr).toContain("fetch org/tiny");
  const offline = await inspect("org/tiny", { HF_HUB_OFFLINE: "1" });
  expect(offline.stdout).toBe(online.stdout);
});

it("explains a model that is not there, in two lines", async () => {
  const { code, stdout, stderr } = await inspect("org/nothing");
  expect(code).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toContain("HUB_REPO_MISSING org/nothing@main:");
  expect(stderr).toContain("  fix: check the spelling");
});
