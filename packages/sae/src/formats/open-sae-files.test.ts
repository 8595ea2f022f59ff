import { IoError } from "@latentkit/core";
import { bytesSource } from "@latentkit/loaders";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { readFileSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import type { SaeFiles } from "./format.ts";
import { openSaeFiles } from "./open-sae-files.ts";

// Files that lie neither on a disk nor on a server, as uploads of a web page do.
const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

function uploads(
  folder: string,
  names: readonly string[],
): SaeFiles & { readonly openFiles: () => number } {
  let open = 0;
  const bytes = (name: string): Uint8Array => {
    if (!names.includes(name))
      throw new IoError({ code: "FILE_MISSING", message: `no ${name}`, fix: "upload it" });
    return readFileSync(new URL(`../__fixtures__/formats/${folder}/${name}`, import.meta.url));
  };
  return {
    where: "uploads",
    file: null,
    names,
    has: async (name) => names.includes(name),
    json: async (name) => JSON.parse(new TextDecoder().decode(bytes(name))) as unknown,
    async open(name) {
      const source = bytesSource(bytes(name), name);
      open += 1;
      return { ...source, close: async () => void (open -= 1) };
    },
    openFiles: () => open,
  };
}

it("reads SAEs from any place that gives bytes, and leaves nothing open", async () => {
  const files = uploads("dictionary-learning/MatryoshkaBatchTopKSAE/trainer_0", [
    "ae.pt",
    "config.json",
  ]);
  const plan = await openSaeFiles(files, {});
  expect(plan).toMatchObject({ format: "dictionary-learning", config: { dIn: 6, dSae: 16 } });
  expect(plan.weights.names()).toContain("group_sizes");
  using sae = await plan.build(device);
  expect(sae.config.architecture).toBe("jumprelu");
  await plan.close();
  expect(files.openFiles()).toBe(0);
});

it.each([
  [
    "llama-scope/800M-Slimpajama-0-OpenR1-Math-220k/L3R",
    ["config.json", "sae_weights.safetensors"],
    "SAE_INPUT_SCALE_UNKNOWN",
  ],
  ["torch/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3", ["layer5.sae.pt"], "SAE_K_UNKNOWN"],
  ["dictionary-learning/AutoEncoder/trainer_0", ["ae.pt"], "SAE_FILES_MISSING"],
  ["saelens/abstopk", ["cfg.json"], "FILE_MISSING"],
  ["saelens/abstopk", [], "SAE_FORMAT_UNKNOWN"],
])("closes what it opened where %s with %j cannot be read", async (folder, names, code) => {
  const files = uploads(folder, names);
  await expect(openSaeFiles(files, {})).rejects.toMatchObject({ code });
  expect(files.openFiles()).toBe(0);
});
