// On a real adapter: a GPU, or Mesa's software driver.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensorsFile } from "@latentkit/loaders/node";
import { LatentkitError } from "@latentkit/core";
import { openDevice, profileDevice } from "@latentkit/device";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

/** Whether WebGPU is here, and whether it has a clock. */
async function look(): Promise<{ available: boolean; timed: boolean }> {
  try {
    const { device } = await openDevice("webgpu");
    using opened = device;
    await profileDevice(opened, () => undefined);
    return { available: true, timed: true };
  } catch (fault) {
    if (LatentkitError.isInstance(fault) && fault.code === "WEBGPU_NO_TIMESTAMPS")
      return { available: true, timed: false };
    // Where there must be one, its absence is a failure.
    if (process.env["CI"] === "true" || process.env["REQUIRE_GPU"] === "1") throw fault;
    return { available: false, timed: false };
  }
}
const { available, timed } = await look();

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-device-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.skipIf(!available)("--device webgpu", () => {
  const generate = ["generate", "random", "--tokens", "5,6,7", "--greedy", "--max-tokens", "8"];

  it("generates the CPU's greedy tokens, and prints the kernels' times where there is a clock", async () => {
    const profile = timed ? ["--profile"] : [];
    const webgpu = await run([...generate, "--json", "--device", "webgpu", ...profile]);
    const cpu = await run([...generate, "--json"]);
    expect(webgpu.code).toBe(0);
    expect(JSON.parse(webgpu.stdout).tokens).toEqual(JSON.parse(cpu.stdout).tokens);
    expect(webgpu.stderr).toContain("device: webgpu, because it was asked for");
    if (timed) expect(webgpu.stderr).toMatch(/^rmsNorm +\d+ +\d+\.\d{3} /m);
  });

  it("captures what the CPU captures, within 1e-4", async () => {
    const site = "blocks.1.hook_resid_post";
    const capture = async (...device: string[]) => {
      const out = join(folder, `${device.length}.safetensors`);
      const args = ["capture", "random", "--tokens", "5,6,7", "--sites", site, "--out", out];
      expect((await run([...args, ...device])).code).toBe(0);
      const store = await openSafetensorsFile(out);
      try {
        return await store.readFloats(site);
      } finally {
        await store.close();
      }
    };
    const [cpu, webgpu] = [await capture(), await capture("--device", "webgpu")];
    expect(webgpu.length).toBe(cpu.length);
    const apart = Math.max(...cpu.map((value, index) => Math.abs(value - (webgpu[index] ?? NaN))));
    expect(apart).toBeLessThan(1e-4);
  });

  it("trains an SAE to about what the CPU does", async () => {
    await mkdir(join(folder, "text"));
    const lines = Array.from({ length: 40 }, (_, index) =>
      JSON.stringify({ id: String(index), text: `Document ${index} says this and that.` }),
    );
    await writeFile(join(folder, "text/lines.jsonl"), lines.join("\n"));
    const config = join(folder, "train.json");
    const entry = { recipe: "topk", width: 48, presentations: 640, batchSize: 128, k: [3] };
    const text = { text: ["text/lines.jsonl"], contextSize: 32, heldOut: 0.2 };
    const all = { model: "random", sites: ["blocks.1.hook_resid_post"], ...text, saes: [entry] };
    await writeFile(config, JSON.stringify(all));
    const train = async (name: string, ...flags: string[]) => {
      const out = join(folder, name);
      const outcome = await run(["sae", "train", config, "--out", out, "--json", ...flags]);
      expect(outcome.stderr).not.toContain("fix:");
      const { saes } = JSON.parse(outcome.stdout);
      return { fvu: saes[0].history.points.at(-1).heldOutFvu, stderr: outcome.stderr };
    };
    const profile = timed ? ["--profile"] : [];
    const [cpu, webgpu] = [
      await train("cpu"),
      await train("webgpu", "--device", "webgpu", ...profile),
    ];
    expect(webgpu.fvu).toBeCloseTo(cpu.fvu, 2);
    if (timed) expect(webgpu.stderr).toMatch(/^matmul\S* +\d+ /m);
  });
});
