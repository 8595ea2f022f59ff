import type { ProgressEvent } from "@latentkit/core";
import {
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  unlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { gitHash, sha256 } from "../../__fixtures__/hub-server.ts";
import {
  blobOf,
  blobs,
  cache,
  files,
  first,
  folder,
  json,
  model,
  open,
  refusal,
  remote,
  repo,
  rounded,
  second,
  server,
  valuesOf,
  weights,
} from "../../__fixtures__/tiny-hub.ts";
import { tinyLlamaFile } from "../../__fixtures__/tiny-llama.ts";
import { openCheckpoint } from "../open-checkpoint.ts";

describe("a model of the hub", () => {
  it("is downloaded into the layout of huggingface_hub, and not again", async () => {
    const checkpoint = await open();
    expect(checkpoint).toMatchObject({
      name: "tiny",
      format: "safetensors",
      config: { model_type: "llama" },
    });
    expect(checkpoint.tokenizer?.decode(checkpoint.tokenizer.encode("hello").ids)).toBe("hello");
    await checkpoint.close();
    const snapshot = join(model, "snapshots", first);
    expect((await readdir(snapshot)).sort()).toEqual([
      "config.json",
      "model.safetensors",
      "tokenizer.json",
    ]);
    expect(await readFile(join(model, "refs", "main"), "utf8")).toBe(first);
    expect((await blobs()).sort()).toEqual(
      [
        gitHash(blobOf("config.json")),
        gitHash(blobOf("tokenizer.json")),
        sha256(blobOf("model.safetensors")),
      ].sort(),
    );
    expect(await readlink(join(snapshot, "model.safetensors"))).toBe(
      join("..", "..", "blobs", sha256(blobOf("model.safetensors"))),
    );
    expect(await readdir(join(cache, ".locks", "models--org--tiny"))).toEqual([]);
    server.seen.length = 0;
    expect(await valuesOf()).toEqual(rounded);
    expect(server.seen.map(({ line }) => line)).toEqual([
      "hub GET /api/models/org/tiny/revision/main?blobs=true",
    ]);
  });

  it("follows its branch, keeps what did not change, and gives older commits by name", async () => {
    await valuesOf();
    repo().revisions["main"] = second;
    repo().commits[second] = { ...files(), "model.safetensors": weights("b", 5) };
    server.seen.length = 0;
    expect(await valuesOf()).toEqual([5]);
    expect(server.count(/cdn GET/)).toBe(1);
    expect(server.count(/hub GET .*resolve.*json/)).toBe(0);
    expect(await readFile(join(model, "refs", "main"), "utf8")).toBe(second);
    expect(await valuesOf(`org/tiny@${first}`)).toEqual(rounded);
  });

  it("has revisions with slashes", async () => {
    repo().revisions["refs/pr/1"] = first;
    expect(await valuesOf("org/tiny@refs/pr/1")).toEqual(rounded);
    expect(await readFile(join(model, "refs", "refs", "pr", "1"), "utf8")).toBe(first);
  });

  it("may have shards, and one GGUF file or several", async () => {
    const { "model.safetensors": _, ...others } = files();
    repo().commits[first] = {
      ...others,
      "model.safetensors.index.json": json({
        weight_map: { a: "m-1.safetensors", b: "m-2.safetensors" },
      }),
      "m-1.safetensors": weights("a", 1),
      "m-2.safetensors": weights("b", 2),
      "extra.safetensors": weights("c", 3),
    };
    const sharded = await open();
    expect(sharded.tensors.names()).toEqual(["a", "b"]);
    await sharded.close();
    server.repos.set("org/quantised", {
      revisions: { main: first },
      commits: { [first]: { "m.Q8.gguf": { bytes: tinyLlamaFile(), lfs: true } } },
    });
    const gguf = await open("org/quantised");
    expect(gguf).toMatchObject({ name: "m.Q8", format: "gguf" });
    await gguf.close();
    const two = { bytes: tinyLlamaFile(), lfs: true };
    server.repos.set("org/two", {
      revisions: { main: first },
      commits: { [first]: { "a.gguf": two, "sub/b.gguf": two } },
    });
    const refused = await refusal("org/two");
    expect(refused).toMatchObject({ code: "HUB_NO_WEIGHTS" });
    expect(refused.fix).toContain("org/two/a.gguf");
    const named = await open("org/two/sub/b.gguf");
    expect(named.name).toBe("b");
    await named.close();
    expect(await refusal("org/two/c.gguf")).toMatchObject({ code: "HUB_FILE_MISSING" });
    server.seen.length = 0;
    const offline = await open("org/two/sub/b.gguf", {}, { HF_HUB_OFFLINE: "1" });
    expect(offline.name).toBe("b");
    await offline.close();
    expect(server.seen).toEqual([]);
  });

  it("yields to a folder of its name", async () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      await mkdir("org/tiny", { recursive: true });
      expect(await refusal()).toMatchObject({ code: "CHECKPOINT_NO_CONFIG" });
      expect(server.seen).toEqual([]);
    } finally {
      process.chdir(before);
    }
  });

  it("reports bytes", async () => {
    const events: ProgressEvent[] = [];
    const checkpoint = await openCheckpoint("org/tiny", {
      remote: remote(),
      onProgress: (event) => events.push(event),
    });
    await checkpoint.close();
    const total = ["config.json", "tokenizer.json", "model.safetensors"].reduce(
      (sum, name) => sum + blobOf(name).length,
      0,
    );
    expect(events.at(-1)).toMatchObject({ stage: "download", done: total, total, unit: "bytes" });
    expect(events.map(({ done }) => done)).toEqual(
      events.map(({ done }) => done).sort((a, b) => a - b),
    );
  });
});

describe("without a network", () => {
  it("the cache is taken: with HF_HUB_OFFLINE, with nobody at the port, and with a hub that is down", async () => {
    await valuesOf();
    server.seen.length = 0;
    expect(await valuesOf("org/tiny", {}, { HF_HUB_OFFLINE: "1" })).toEqual(rounded);
    expect(await valuesOf(`org/tiny@${first}`, {}, { TRANSFORMERS_OFFLINE: "1" })).toEqual(rounded);
    expect(server.seen).toEqual([]);
    server.faults.push({ match: /^hub/, times: 99, status: 503 });
    expect(await valuesOf()).toEqual(rounded);
    server.faults.length = 0;
    // Nor does a model that is here go away when the hub or a lost token takes it away.
    server.repos.delete("org/tiny");
    expect(await valuesOf()).toEqual(rounded);
    const { endpoint } = server;
    await server.stop();
    const events: ProgressEvent[] = [];
    const checkpoint = await openCheckpoint("org/tiny", {
      remote: remote({}, { HF_ENDPOINT: endpoint }),
      onProgress: (event) => events.push(event),
    });
    await checkpoint.close();
    expect(events.at(-1)?.note).toContain("HUB_UNREACHABLE");
    await server.start();
  });

  it("a cache that may only be read serves", async () => {
    await valuesOf();
    repo().revisions["v1"] = first;
    // Where the folder of the notes should be is a file: nothing can be written there.
    await rm(join(model, "refs"), { recursive: true });
    await writeFile(join(model, "refs"), "");
    expect(await valuesOf("org/tiny@v1")).toEqual(rounded);
  });

  it("a model that is not in the cache is explained", async () => {
    const offline = await refusal("org/tiny", {}, { HF_HUB_OFFLINE: "1" });
    expect(offline).toMatchObject({ code: "HUB_NOT_CACHED", name: "IoError" });
    const endpoint = server.endpoint;
    await server.stop();
    const gone = await refusal("org/tiny", {}, { HF_ENDPOINT: endpoint });
    expect(gone).toMatchObject({ code: "HUB_UNREACHABLE" });
    expect(gone.message).toContain("ECONNREFUSED");
    await server.start();
  });

  it("a cache that lacks a shard, the configuration or the target of a link is not whole", async () => {
    await valuesOf();
    const snapshot = join(model, "snapshots", first);
    const config = await readFile(join(snapshot, "config.json"));
    await unlink(join(snapshot, "config.json"));
    expect(await refusal("org/tiny", {}, { HF_HUB_OFFLINE: "1" })).toMatchObject({
      code: "HUB_NOT_CACHED",
    });
    await writeFile(join(snapshot, "config.json"), config);
    const index = join(snapshot, "model.safetensors.index.json");
    await rename(join(snapshot, "model.safetensors"), join(snapshot, "m-1.safetensors"));
    await writeFile(
      index,
      JSON.stringify({ weight_map: { a: "m-1.safetensors", b: "m-2.safetensors" } }),
    );
    expect(await refusal("org/tiny", {}, { HF_HUB_OFFLINE: "1" })).toMatchObject({
      code: "HUB_NOT_CACHED",
    });
    await writeFile(index, JSON.stringify({ weight_map: { a: "m-1.safetensors" } }));
    expect(await valuesOf("org/tiny", {}, { HF_HUB_OFFLINE: "1" })).toEqual(rounded);
    await rename(join(snapshot, "m-1.safetensors"), join(snapshot, "model.safetensors"));
    await unlink(index);
    expect(await valuesOf("org/tiny", {}, { HF_HUB_OFFLINE: "1" })).toEqual(rounded);
    await unlink(join(model, "blobs", sha256(blobOf("model.safetensors"))));
    expect(await refusal("org/tiny", {}, { HF_HUB_OFFLINE: "1" })).toMatchObject({
      code: "HUB_NOT_CACHED",
    });
    expect(await valuesOf()).toEqual(rounded);
  });
});
