import { describeError } from "@latentkit/core";
import { readdir, readFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSaeTrainConfig } from "./sae-train/config.ts";
import { TrainingView } from "./sae-train/view.ts";
import { run } from "./testing/run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-sae-train-"));
  await mkdir(join(folder, "text"));
  const lines = Array.from({ length: 60 }, (_, index) =>
    JSON.stringify({ id: String(index), text: `Document ${index} says this and that, and more.` }),
  );
  await writeFile(join(folder, "text/lines.jsonl"), lines.join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const site = "blocks.1.hook_resid_post";
const small = { width: 48, presentations: 1280, batchSize: 128 };
const base = {
  model: "random",
  text: ["text/lines.jsonl"],
  sites: [site, "blocks.0.attn.hook_z"],
  contextSize: 32,
  heldOut: 0.2,
  saes: [
    { recipe: "topk", ...small, k: [3, 6] },
    { recipe: "short-run", ...small, sparsity: 0.01, sites: [site], name: "jump" },
  ],
};

async function write(name: string, content: unknown): Promise<string> {
  await writeFile(join(folder, name), JSON.stringify(content));
  return join(folder, name);
}

const train = (path: string, out: string, ...more: string[]) => [
  "sae",
  "train",
  path,
  "--out",
  join(folder, out),
  ...more,
];

/** Bytes of all files of SAEs. */
async function saesOf(out: string): Promise<Record<string, string>> {
  const root = join(folder, out, "saes");
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files: Record<string, string> = {};
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files[path.slice(root.length)] = (await readFile(path)).toString("base64");
  }
  return files;
}

describe("sae train", () => {
  const names = [
    `${site}/topk-width_48-k_3-seed_0`,
    `${site}/topk-width_48-k_6-seed_0`,
    `${site}/jump`,
    "blocks.0.attn.hook_z/topk-width_48-k_3-seed_0",
    "blocks.0.attn.hook_z/topk-width_48-k_6-seed_0",
  ];

  it("trains all SAEs of all sites from one harvest, reports, and does nothing the second time", async () => {
    const path = await write("many.json", base);
    const first = await run(train(path, "many", "--json"));
    expect(first.stderr).not.toContain("fix:");
    expect(first.code).toBe(0);
    const { saes } = JSON.parse(first.stdout);
    expect(saes.map(({ id }: { id: string }) => id)).toEqual(names);
    expect(saes.every(({ status }: { status: string }) => status === "trained")).toBe(true);
    const page = await readFile(join(folder, "many/report.html"), "utf8");
    for (const name of ["topk-width_48-k_3-seed_0", "jump", site]) expect(page).toContain(name);
    const metrics = await readFile(
      join(folder, "many/saes", names[2] ?? "", "metrics.jsonl"),
      "utf8",
    );
    expect(metrics.trim().split("\n").length).toBeGreaterThan(4);
    const before = await saesOf("many");
    const again = await run(train(path, "many"));
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/done before/u);
    expect(await saesOf("many")).toEqual(before);
  });

  it("goes on after a stop with the same bytes, and trains from the shards of another folder the same", async () => {
    const path = await write("many.json", base);
    const controller = new AbortController();
    const stopped = await run(train(path, "stopped"), {
      signal: controller.signal,
      onStderr: (all) => (all.includes("train-sae") ? controller.abort() : undefined),
    });
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toContain("ABORTED");
    expect((await run(train(path, "stopped", "--quiet"))).stderr).toBe("");
    expect(await saesOf("stopped")).toEqual(await saesOf("many"));
    const { model: _, text: __, sites: ___, contextSize: ____, heldOut: _____, ...rest } = base;
    const shards = base.sites.map((name) => `many/activations/${name}`);
    const other = await write("shards.json", { ...rest, shards });
    expect((await run(train(other, "from-shards", "--quiet"))).stderr).toBe("");
    expect(await saesOf("from-shards")).toEqual(await saesOf("many"));
  });

  it("makes a shard anew that is damaged while it goes on", async () => {
    const path = await write("many.json", base);
    const file = join(folder, "stopped/activations", site, "train-00000.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 5] = (bytes.at(-5) ?? 0) ^ 2;
    await writeFile(file, bytes);
    await rm(join(folder, "stopped/saes", names[0] ?? ""), { recursive: true });
    expect((await run(train(path, "stopped", "--quiet"))).code).toBe(0);
    expect(await saesOf("stopped")).toEqual(await saesOf("many"));
    // Shards of others are not this command's to make.
    await writeFile(file, bytes);
    const { saes } = base;
    const shards = [`stopped/activations/${site}`];
    const given = await write("damaged.json", { saes: saes.slice(0, 1), shards });
    const refused = await run(train(given, "refused", "--quiet"));
    expect(refused.stderr).toMatch(/^SHARD_CORRUPT .*train-00000\.safetensors/u);
  });

  it("trains on a live model, and goes on there too", async () => {
    const live = { ...base, source: "live", bufferTokens: 512, saes: base.saes.slice(0, 1) };
    const path = await write("live.json", live);
    const whole = await run(train(path, "live", "--json"));
    expect(whole.code).toBe(0);
    expect(JSON.parse(whole.stdout).saes).toHaveLength(4);
    expect(await readdir(join(folder, "live"))).not.toContain("activations");
    const controller = new AbortController();
    await run(train(path, "live-stopped"), {
      signal: controller.signal,
      onStderr: (all) => (all.includes("train-sae") ? controller.abort() : undefined),
    });
    expect((await run(train(path, "live-stopped", "--quiet"))).code).toBe(0);
    expect(await saesOf("live-stopped")).toEqual(await saesOf("live"));
    const other = await write("other.json", { ...live, contextSize: 16 });
    const refused = await run(train(other, "live", "--quiet"));
    expect(refused.stderr).toContain("SAE_TRAIN_SOURCE");
  });

  it("gives up an SAE that diverges, finishes the others, and ends with an error", async () => {
    const [topk] = base.saes;
    const bad = { ...topk, k: 3, name: "bad", overrides: { learningRate: 1e38 } };
    const content = { ...base, sites: [site], saes: [{ ...topk, k: 3 }, bad] };
    const { code, stderr } = await run(train(await write("bad.json", content), "bad", "--quiet"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/SAE_TRAIN_STOPPED 1 of 2 SAEs were given up; .*bad: .*TRAIN_DIVERGED/u);
    expect(await readdir(join(folder, "bad/saes", site, "topk-width_48-k_3-seed_0"))).toContain(
      "cfg.json",
    );
    expect(await readdir(join(folder, "bad/saes", site, "bad"))).not.toContain("cfg.json");
    expect(await readFile(join(folder, "bad/report.html"), "utf8")).toContain("bad was given up");
  });

  it("refuses an SAE of another configuration under the same name", async () => {
    const changed = { ...base, saes: [{ ...base.saes[1], presentations: 640 }] };
    const { stderr } = await run(train(await write("changed.json", changed), "many", "--quiet"));
    expect(stderr).toMatch(/SAE_TRAIN_DIFFERS .*steps was 10, is 5/u);
  });

  it.each([
    [{ ...base, wdith: 3 }, "SAE_TRAIN_INVALID"],
    [{ ...base, saes: [] }, "SAE_TRAIN_INVALID"],
    [{ saes: base.saes, shards: ["nowhere"] }, "ACTIVATIONS_MISSING"],
    [{ ...base, saes: [{ recipe: "topk", width: 8 }] }, "RECIPE_NEEDS"],
    [{ ...base, saes: [...base.saes, base.saes[1]] }, "SAE_TRAIN_NAMES"],
    [{ ...base, saes: [{ ...base.saes[0], sites: ["blocks.9.hook_mlp_out"] }] }, "SAE_TRAIN_SITE"],
    [{ ...base, model: "nowhere" }, "MODEL_NOT_FOUND"],
    [{ ...base, saes: [{ ...base.saes[0], overrides: { steps: -1 } }] }, "TRAIN_CONFIG_INVALID"],
  ])("says what is wrong, case %#", async (content, code) => {
    const outcome = await run(train(await write("wrong.json", content), "many", "--quiet"));
    expect(outcome.stderr).toContain(code);
    expect(outcome.code).toBe(1);
  });
});

describe("the configuration", () => {
  it("takes the command's seed where it names none", async () => {
    const path = await write("seeds.json", {
      ...base,
      saes: [{ ...base.saes[0], k: 3, seed: [1, 2] }, base.saes[1]],
    });
    const config = await readSaeTrainConfig(path, { seed: 7 }).catch(describeError);
    expect(config).toMatchObject({
      seed: 7,
      saes: [
        { seed: 1, config: { seed: 1 } },
        { seed: 2, config: { seed: 2 } },
        { seed: 7, config: { seed: 7, recipe: "short-run" } },
      ],
    });
  });
});

describe("the live view", () => {
  it("has a line for each SAE, with its figures and the course of its error", () => {
    const view = new TrainingView(["a", "longer"]);
    expect(view.lines()).toEqual(["a       waiting", "longer  waiting"]);
    for (const [index, heldOutFvu] of [0.8, 0.8, 0.4, 0.2].entries())
      view.take({
        name: "a",
        done: 10 * (index + 1),
        total: 100,
        figures: { loss: 1.23456, l0: 9, heldOutL0: 31.97, heldOutFvu, dead: 2, dense: 1 },
      });
    expect(view.lines()[0]).toBe("a        40%  loss 1.23  L0 32  FVU 0.2  dead 2  dense 1  █▃▁");
    expect(new TrainingView(["site/a"], (name) => name.slice(5)).lines()).toEqual(["a  waiting"]);
    const many = new TrainingView(Array.from({ length: 20 }, (_, index) => String(index)));
    expect(many.lines()).toHaveLength(17);
    expect(many.lines().at(-1)).toBe("and 4 more");
  });
});
