import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HubServer } from "../__fixtures__/hub-server.ts";
import { errorOf, loadJson } from "../__fixtures__/load.ts";
import { tinyLlamaFile } from "../__fixtures__/tiny-llama.ts";
import { encodeSafetensors } from "../safetensors/encode-safetensors.ts";
import { isRemoteSource, openCheckpoint } from "./open-checkpoint.ts";

const server = new HubServer();
beforeAll(() => server.start());
afterAll(() => server.stop());

const { byte_level } =
  loadJson<Readonly<Record<string, { readonly tokenizer: object }>>>("small-tokenizers.json");
const text = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const weights = (name: string, ...values: number[]): Uint8Array =>
  encodeSafetensors([
    { name, dtype: "f32", shape: [values.length], bytes: Float32Array.from(values) },
  ]);
const remote = { firstDelayMs: 1, retries: 1, stallMs: 500 };
const open = (path: string) =>
  openCheckpoint(`${server.cdn}${path}`, {
    remote: { ...remote, env: { HF_ENDPOINT: server.endpoint, HF_TOKEN: "hf_secret" } },
  });

beforeEach(() => {
  server.plain.clear();
  server.faults.length = 0;
  server.seen.length = 0;
  server.plain.set("/models/tiny/config.json", text({ model_type: "llama" }));
  server.plain.set("/models/tiny/tokenizer.json", text(byte_level?.tokenizer));
  server.plain.set("/models/tiny/chat_template.jinja", text("template"));
});

describe("openCheckpoint of an address", () => {
  it.each(["/models/tiny/", "/models/tiny"])("reads the folder %s", async (path) => {
    server.plain.set("/models/tiny/model.safetensors", weights("a", 1, 2));
    const checkpoint = await open(path);
    expect(checkpoint).toMatchObject({
      name: "tiny",
      format: "safetensors",
      config: { model_type: "llama" },
    });
    expect(checkpoint.tokenizer?.chatTemplate).toBe("template");
    expect([...(await checkpoint.tensors.readFloats("a"))]).toEqual([1, 2]);
    await checkpoint.close();
    expect(server.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it("reads shards, and of them the tensors that are wanted", async () => {
    const values = Array.from({ length: 30_000 }, (_, index) => index);
    server.plain.set("/models/tiny/m-1.safetensors", weights("a", ...values));
    server.plain.set("/models/tiny/m-2.safetensors", weights("b", ...values));
    server.plain.set(
      "/models/tiny/model.safetensors.index.json",
      text({ weight_map: { a: "m-1.safetensors", b: "m-2.safetensors" } }),
    );
    const checkpoint = await open("/models/tiny/");
    server.seen.length = 0;
    expect([...(await checkpoint.tensors.readFloats("b"))]).toEqual(values);
    expect(server.seen.map(({ line }) => line)).toEqual(["cdn GET /models/tiny/m-2.safetensors"]);
    await checkpoint.close();
  });

  it("reads one safetensors file, with its query, and one GGUF file", async () => {
    server.plain.set("/models/tiny/best.safetensors", weights("a", 3));
    const checkpoint = await open("/models/tiny/best.safetensors?signature=x");
    expect(checkpoint).toMatchObject({ name: "best", config: { model_type: "llama" } });
    expect([...(await checkpoint.tensors.readFloats("a"))]).toEqual([3]);
    await checkpoint.close();
    expect(server.count(/best.safetensors\?signature=x/)).toBe(1);
    server.plain.set("/m.Q8.gguf", tinyLlamaFile());
    const gguf = await open("/m.Q8.gguf");
    expect(gguf).toMatchObject({ name: "m.Q8", format: "gguf" });
    expect(await gguf.weightsHash()).toMatch(/^[0-9a-f]{64}$/);
    await gguf.close();
  });

  it("takes a model's page of the hub for the model", async () => {
    const error = await errorOf(() =>
      openCheckpoint(`${server.endpoint}/org/nothing/tree/v1`, {
        remote: { ...remote, env: { HF_ENDPOINT: server.endpoint, HF_HOME: "/nowhere" } },
      }),
    );
    expect(error).toMatchObject({ code: "HUB_REPO_MISSING", where: "org/nothing@v1" });
  });
});

describe("openCheckpoint of an address refuses", () => {
  it.each<readonly [string, string]>([
    ["/none/", "CHECKPOINT_NO_CONFIG"],
    ["/none/model.safetensors", "CHECKPOINT_NO_CONFIG"],
    ["/models/tiny/", "CHECKPOINT_NO_WEIGHTS"],
    ["/models/tiny/none.safetensors", "HTTP_MISSING"],
    ["/none.gguf", "HTTP_MISSING"],
    ["/models/tiny/pytorch_model.bin", "PICKLE_REFUSED"],
    ["/models/tiny/config.json", "CHECKPOINT_UNKNOWN"],
    ["/%E0%A4%A/", "CHECKPOINT_NO_CONFIG"],
    ["/%E0%A4%A.gguf", "HTTP_MISSING"],
  ])("%s", async (path, code) => {
    expect(await errorOf(() => open(path))).toMatchObject({ code });
  });

  it("a configuration that is too large, whatever its length is said to be", async () => {
    server.plain.set("/models/tiny/config.json", new Uint8Array(17 * 1024 * 1024));
    expect(await errorOf(() => open("/models/tiny/"))).toMatchObject({ code: "HTTP_TOO_LARGE" });
  });

  it("a header that claims to be huge, before it reads it", async () => {
    const lie = new Uint8Array(100_000);
    new DataView(lie.buffer).setBigUint64(0, 2n ** 40n, true);
    server.plain.set("/models/tiny/model.safetensors", lie);
    expect(await errorOf(() => open("/models/tiny/"))).toMatchObject({
      code: "SAFETENSORS_HEADER_LENGTH",
    });
  });

  it("a server that is down", async () => {
    server.faults.push({ match: /config/, times: 9, status: 500 });
    expect(await errorOf(() => open("/models/tiny/"))).toMatchObject({ code: "HTTP_STATUS" });
  });
});

describe("openCheckpoint of a file here", () => {
  it("takes one safetensors file with config.json beside it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "latentkit-file-"));
    try {
      const path = join(folder, "best.safetensors");
      await writeFile(path, weights("a", 4));
      await writeFile(join(folder, "other.safetensors"), weights("b", 5));
      expect(await errorOf(() => openCheckpoint(path))).toMatchObject({
        code: "CHECKPOINT_NO_CONFIG",
      });
      await writeFile(join(folder, "config.json"), "{}");
      const checkpoint = await openCheckpoint(path);
      expect(checkpoint.name).toBe("best");
      expect([...(await checkpoint.tensors.readFloats("a"))]).toEqual([4]);
      await checkpoint.close();
      await writeFile(join(folder, "config.json"), new Uint8Array(17 * 1024 * 1024));
      expect(await errorOf(() => openCheckpoint(path))).toMatchObject({ code: "FILE_TOO_LARGE" });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

it.each([
  ["https://example.com/m.gguf", true],
  ["HTTP://example.com", true],
  ["org/name@main", true],
  ["./org/name", false],
  ["model.gguf", false],
  ["tiny", false],
])("isRemoteSource(%s) is %s", (source, expected) => {
  expect(isRemoteSource(source)).toBe(expected);
});
