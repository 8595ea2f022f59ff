import { openCpuDevice } from "@latentkit/backend-cpu";
import { bytesSource } from "@latentkit/loaders";
import { openCheckpoint } from "@latentkit/loaders/node";
import { withAdapter } from "@latentkit/lora";
import { loadAdapter } from "@latentkit/lora/node";
import { loadModel, type LanguageModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as browser from "./index.ts";
import { fetchTiny, tinyFiles } from "./index.ts";
import { folderReader, loadTiny, loadTinySae, tinyFolder } from "./node/index.ts";
import { writeStandIn } from "./testing/stand-in.ts";

let device: Device;
let folder: string;
const prompt = [Int32Array.from([0, 40, 300, 7, 1200])];

beforeAll(async () => {
  device = await openCpuDevice({ matmul: "wasm" });
  folder = await mkdtemp(join(tmpdir(), "latentkit-tiny-"));
  await writeStandIn(folder, device);
});

afterAll(async () => {
  device.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function logitsOf(model: LanguageModel): Promise<Float32Array> {
  using result = model.run(prompt);
  return await result.logits!.floats();
}

async function copyWithout(...names: string[]): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "latentkit-tiny-copy-"));
  await cp(folder, copy, { recursive: true });
  for (const name of names) await rm(join(copy, name));
  return copy;
}

describe("the list of files", () => {
  it("names every file of the folder, and no other", async () => {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const found = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
    expect(found.map((name) => name.replaceAll("\\", "/")).sort()).toEqual([...tinyFiles].sort());
  });
});

describe("loadTiny", () => {
  it("gives the model that openCheckpoint and loadModel give, with the same identity", async () => {
    const checkpoint = await openCheckpoint(join(folder, "base"));
    using expected = await loadModel(checkpoint, { device });
    await checkpoint.close();
    using model = await loadTiny({ device, folder });
    expect(model.identity()).toEqual({ ...expected.identity(), name: "tiny" });
    expect(model.config).toEqual(expected.config);
    expect(model.tokenizer?.identity).toBe(expected.tokenizer?.identity);
    expect(await logitsOf(model)).toEqual(await logitsOf(expected));
  });

  it("merges the adapter for the instruction-tuned version, as withAdapter does", async () => {
    using base = await loadTiny({ device, folder, weights: "f32" });
    using adapter = await loadAdapter(join(folder, "instruct"), { model: base });
    using expected = await withAdapter(base, adapter);
    using model = await loadTiny({ device, folder, version: "instruct" });
    expect(model.identity()).toEqual({ ...expected.model.identity(), name: "tiny-instruct" });
    const logits = await logitsOf(model);
    expect(logits).toEqual(await logitsOf(expected.model));
    expect(logits).not.toEqual(await logitsOf(base));
    const words = [];
    for await (const piece of model.generate({
      prompt: "The",
      maxTokens: 3,
      temperature: 0,
      ignoreEos: true,
    }))
      words.push(piece.token);
    expect(words).toHaveLength(3);
  });

  it.each(["base", "instruct"] as const)("leaves nothing of %s on the device", async (version) => {
    const before = device.memory().liveBytes;
    const model = await loadTiny({ device, folder, version });
    await logitsOf(model);
    expect(device.memory().liveBytes).toBeGreaterThan(before);
    model.dispose();
    expect(device.memory().liveBytes).toBe(before);
  });

  it("says what is missing, and leaves nothing on the device", async () => {
    const before = device.memory().liveBytes;
    const copy = await copyWithout("instruct/adapter_model.safetensors");
    await expect(loadTiny({ device, folder: copy, version: "instruct" })).rejects.toMatchObject({
      code: "TINY_MISSING",
      message: expect.stringContaining("instruct/adapter_model.safetensors"),
    });
    await expect(loadTiny({ device, folder: join(copy, "nowhere") })).rejects.toMatchObject({
      code: "TINY_MISSING",
      message: expect.stringContaining("base/config.json"),
    });
    expect(device.memory().liveBytes).toBe(before);
    await rm(copy, { recursive: true });
  });

  it("refuses an unknown version", async () => {
    const version = "chat" as "instruct";
    const refusal = { code: "TINY_VERSION", fix: "take one of base, instruct" };
    await expect(loadTiny({ device, folder, version })).rejects.toMatchObject(refusal);
    expect(() => tinyFolder(version)).toThrow("chat");
  });

  it.each([
    ["what is no JSON", "{"],
    ["what is no object", "[]"],
  ])("refuses a configuration that holds %s", async (_, text) => {
    const copy = await copyWithout();
    await writeFile(join(copy, "base/config.json"), text);
    await expect(loadTiny({ device, folder: copy })).rejects.toMatchObject({ code: "TINY_JSON" });
    await rm(copy, { recursive: true });
  });

  it("stops when told to", async () => {
    await expect(loadTiny({ device, folder, signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: "AbortedError",
    });
  });

  it("closes every file that it opened", async () => {
    const read = folderReader(folder);
    let open = 0;
    const counting: browser.TinyReader = async (name, signal) => {
      const source = await read(name, signal);
      open += 1;
      return {
        ...source,
        close: async () => {
          open -= 1;
          await source.close();
        },
      };
    };
    (await browser.loadTiny({ device, read: counting, version: "instruct" })).dispose();
    (await browser.loadTinySae({ device, read: counting, layer: 0 }))[Symbol.dispose]();
    const broken: browser.TinyReader = async (name, signal) =>
      name.endsWith(".safetensors")
        ? {
            ...(await counting(name, signal)),
            ...withoutClose(bytesSource(new Uint8Array(3), name)),
          }
        : counting(name, signal);
    await expect(browser.loadTiny({ device, read: broken })).rejects.toMatchObject({
      code: "SAFETENSORS_TRUNCATED",
    });
    expect(open).toBe(0);
  });
});

function withoutClose({ name, size, read }: ReturnType<typeof bytesSource>): object {
  return { name, size, read };
}

describe("loadTinySae", () => {
  it("gives the SAE of the layer's residual stream, trained on the base model", async () => {
    using model = await loadTiny({ device, folder });
    for (const layer of [0, 3, 5]) {
      using sae = await loadTinySae({ device, folder, layer });
      expect(sae.config.metadata).toMatchObject({
        hookName: `blocks.${layer}.hook_resid_post`,
        weightsHash: model.identity().weightsHash,
      });
      expect(sae.config.dIn).toBe(model.config.dModel);
    }
  });

  it.each([-1, 6, 1.5, Number.NaN])("refuses layer %s", async (layer) => {
    await expect(loadTinySae({ device, folder, layer })).rejects.toMatchObject({
      code: "TINY_LAYER",
      fix: "give a whole number from 0 to 5",
    });
  });

  it("says which file is missing", async () => {
    const copy = await copyWithout("sae/layer_2/cfg.json");
    await expect(loadTinySae({ device, folder: copy, layer: 2 })).rejects.toMatchObject({
      code: "TINY_MISSING",
      message: expect.stringContaining("sae/layer_2/cfg.json"),
    });
    await rm(copy, { recursive: true });
  });
});

describe("fetchTiny", () => {
  let server: Server;
  let address: string;

  beforeAll(async () => {
    const read = folderReader(folder);
    server = createServer((request, response) => {
      const name = decodeURIComponent((request.url ?? "").replace("/data/", ""));
      if (name === "/refused/world.json") return void response.writeHead(503).end();
      read(name)
        .then(async (source) => {
          const bytes = await source.read(0, source.size);
          await source.close();
          return response.end(bytes);
        })
        .catch(() => response.writeHead(404).end());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const bound = server.address();
    address = typeof bound === "object" && bound !== null ? `http://127.0.0.1:${bound.port}` : "";
  });

  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  it("loads the same model and SAE over HTTP", async () => {
    const read = fetchTiny(`${address}/data`);
    using local = await loadTiny({ device, folder, version: "instruct" });
    using model = await browser.loadTiny({ device, read, version: "instruct" });
    expect(model.identity()).toEqual(local.identity());
    using sae = await browser.loadTinySae({ device, read, layer: 1 });
    using localSae = await loadTinySae({ device, folder, layer: 1 });
    expect(await sae.identity()).toBe(await localSae.identity());
  });

  it("tells what is missing from what was refused and from what is not reached", async () => {
    await expect(fetchTiny(`${address}/data/`)("nothing")).rejects.toMatchObject({
      code: "TINY_MISSING",
      where: `${address}/data/nothing`,
    });
    await expect(fetchTiny(`${address}/refused`)("world.json")).rejects.toMatchObject({
      code: "TINY_FETCH",
      message: expect.stringContaining("503"),
    });
    await expect(fetchTiny("http://127.0.0.1:1/")("world.json")).rejects.toMatchObject({
      code: "TINY_FETCH",
    });
  });

  it("refuses an address that is not absolute", () => {
    expect(() => fetchTiny("tiny/")).toThrow("not an absolute address");
  });
});
