import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseComparison } from "@latentkit/suite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-compare-cli-"));
  const lines = Array.from({ length: 80 }, (_, index) =>
    JSON.stringify({ id: String(index), text: `Document ${index} says this and that, and more.` }),
  );
  await writeFile(join(folder, "lines.jsonl"), lines.join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const comparison = {
  schemaVersion: 1,
  name: "small",
  model: "random",
  text: { files: ["lines.jsonl"] },
  contextSize: 32,
  heldOut: 0.2,
  layer: 1,
  width: 64,
  presentations: 1024,
  batchSize: 256,
  architectures: [
    { name: "TopK", recipe: "topk", k: [4, 8] },
    { name: "BatchTopK", recipe: "batchtopk", k: [4, 8] },
  ],
  subject: "TopK",
  seeds: [1],
  tuning: { seeds: [7], factors: [1], l0: 6 },
  spliceContexts: 4,
};

async function command(name: string, content: unknown, ...more: string[]): Promise<string[]> {
  const path = join(folder, `${name}.json`);
  await writeFile(path, JSON.stringify(content));
  return ["suite", "compare", path, "--out", join(folder, name), ...more];
}

describe("suite compare", () => {
  it("compares, says how far it is, and does nothing the second time", async () => {
    const before = await run(await command("out", comparison, "--status", "--json"));
    expect(JSON.parse(before.stdout).stages[0]).toEqual({ stage: "harvest", done: 0, total: 1 });
    const first = await run(await command("out", comparison, "--json"));
    expect(first.stderr).not.toContain("fix:");
    expect(first.code).toBe(0);
    const { ran, skipped, result } = JSON.parse(first.stdout);
    // A harvest, four trials, four trainings and four evaluations.
    expect([ran, skipped, result.rows.length]).toEqual([13, 0, 4]);
    const again = await run(await command("out", comparison));
    expect(again.stderr).toContain("0 jobs, 13 done before");
    expect(again.stdout).toContain("TopK has a lower FVU than BatchTopK");
    expect(await readFile(join(folder, "out/compare.html"), "utf8")).toContain("<svg");
    const after = await run(await command("out", comparison, "--status"));
    expect(after.stdout).toMatch(/train\s+4\s+4/u);
  });

  it("takes text from a flag, and refuses to mix it with other text's results", async () => {
    await writeFile(join(folder, "other.txt"), "Other words. ".repeat(400));
    const args = await command("out", comparison, "--text", join(folder, "other.txt"));
    const { code, stderr } = await run(args);
    expect(code).toBe(1);
    expect(stderr).toContain("SUITE_JOB_DIFFERS");
  });

  it.each([
    [{ ...comparison, widht: 3 }, "COMPARISON_INVALID"],
    [{ ...comparison, layer: 7 }, "SUITE_LAYER"],
    [{ ...comparison, model: undefined }, "SUITE_MODEL"],
    [{ ...comparison, text: { files: ["nowhere.txt"] } }, "TEXT_UNREADABLE"],
  ])("says what is wrong, case %#", async (content, code) => {
    const { code: exit, stderr } = await run(await command("bad", content));
    expect(stderr).toContain(code);
    expect(exit).toBe(1);
  });
});

describe("the comparison that the results are made from", () => {
  it("has four sparsities and five seeds of each architecture, and as many trials", async () => {
    const path = join(import.meta.dirname, "../../../docs/results/compare-smollm2.json");
    const { architectures, seeds, tuning } = parseComparison(
      JSON.parse(await readFile(path, "utf8")),
      path,
    );
    expect(architectures.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["JumpReLU", "Gated", "TopK", "ReLU"]),
    );
    for (const { sparsity = [], k = [] } of architectures)
      expect(sparsity.length + k.length).toBeGreaterThanOrEqual(4);
    expect(seeds.length).toBeGreaterThanOrEqual(5);
    expect(tuning.factors.length).toBeGreaterThanOrEqual(3);
  });
});
