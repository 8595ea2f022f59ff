import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { encodeSafetensors } from "../safetensors/encode-safetensors.ts";
import { openCheckpoint } from "../node/open-checkpoint.ts";
import type { RemoteOptions } from "../node/hub/hub-options.ts";
import { HubServer, type HubServerFile } from "./hub-server.ts";
import { errorOf, loadJson } from "./load.ts";

// A hub with one small model and an empty cache for each test of the file that imports this.

const { byte_level } =
  loadJson<Readonly<Record<string, { readonly tokenizer: object }>>>("small-tokenizers.json");
export const first = "1".repeat(40);
export const second = "2".repeat(40);
export const json = (value: unknown): HubServerFile => ({
  bytes: new TextEncoder().encode(JSON.stringify(value)),
});
export const weights = (name: string, ...values: number[]): HubServerFile => ({
  bytes: encodeSafetensors([
    { name, dtype: "f32", shape: [values.length], bytes: Float32Array.from(values) },
  ]),
  lfs: true,
});
const long = Array.from({ length: 100_000 }, (_, index) => index / 7);

/** The servers, the folder of everything, the cache in it and the model's folder in that; of the test that runs. */
export let server: HubServer;
export let folder = "";
export let cache = "";
export let model = "";

beforeEach(async () => {
  server = new HubServer();
  await server.start();
  folder = await mkdtemp(join(tmpdir(), "latentkit-hub-"));
  cache = join(folder, "hub");
  model = join(cache, "models--org--tiny");
  server.repos.set("org/tiny", {
    revisions: { main: first },
    commits: {
      [first]: {
        "config.json": json({ model_type: "llama" }),
        "tokenizer.json": json(byte_level?.tokenizer),
        "README.md": json("nothing that a model needs"),
        "model.safetensors": weights("a", ...long),
      },
    },
  });
});
afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

export const remote = (changes: Partial<RemoteOptions> = {}, env: object = {}): RemoteOptions => ({
  firstDelayMs: 1,
  stallMs: 400,
  retries: 3,
  lock: { pollMs: 10 },
  ...changes,
  env: { HF_ENDPOINT: server.endpoint, HF_HOME: folder, ...env },
});
export const open = (source = "org/tiny", changes: Partial<RemoteOptions> = {}, env: object = {}) =>
  openCheckpoint(source, { remote: remote(changes, env) });
export async function valuesOf(
  source = "org/tiny",
  changes: Partial<RemoteOptions> = {},
  env: object = {},
): Promise<number[]> {
  const checkpoint = await open(source, changes, env);
  const [name = ""] = checkpoint.tensors.names();
  const values = [...(await checkpoint.tensors.readFloats(name))];
  await checkpoint.close();
  return values;
}
export const refusal = (source = "org/tiny", changes: Partial<RemoteOptions> = {}, env: object = {}) =>
  errorOf(() => open(source, changes, env));
export const blobs = () => readdir(join(model, "blobs"));
export const rounded = [...Float32Array.from(long)];
export const repo = () => {
  const found = server.repos.get("org/tiny");
  if (found === undefined) throw new RangeError("no repository");
  return found;
};
export const files = () => repo().commits[first] ?? {};
export const blobOf = (name: string): Uint8Array => files()[name]?.bytes ?? new Uint8Array(0);

