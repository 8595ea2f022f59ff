import { parseSuite, planSuite } from "@latentkit/suite";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-suite-cli-"));
  await mkdir(join(folder, "text"));
  const lines = Array.from({ length: 80 }, (_, index) =>
    JSON.stringify({ id: String(index), text: `Document ${index} says this and that, and more.` }),
  );
  await writeFile(join(folder, "text/lines.jsonl"), lines.join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const suite = {
  schemaVersion: 1,
  name: "small",
  model: "random",
  text: { files: ["text/lines.jsonl"] },
  contextSize: 32,
  heldOut: 0.2,
  sites: ["res", "att"],
  layers: [1],
  entries: [
    { recipe: "short-run", width: 64, sparsity: [0.01], presentations: 2048, batchSize: 256 },
  ],
  spliceContexts: 4,
};

async function write(name: string, content: unknown): Promise<string> {
  await writeFile(join(folder, name), JSON.stringify(content));
  return join(folder, name);
}

const command = (path: string, out: string, ...more: string[]) => [
  "suite",
  "run",
  path,
  "--out",
  join(folder, out),
  ...more,
];

describe("the embedded model's suites", () => {
  const plan = async (name: string) => {
    const path = join(import.meta.dirname, "../../../packages/tiny", name);
    const file: unknown = JSON.parse(await readFile(path, "utf8"));
    return planSuite(parseSuite(file, name), { layers: 6, contextSize: 512 });
  };

  it("have three sites of all layers in three sparsities and TopK at one; packed, one SAE a layer", async () => {
    const { saes, jobs } = await plan("suite.json");
    expect(saes).toHaveLength(3 * 6 * 3 + 3);
    expect(jobs).toHaveLength(18 + 3 * 57);
    const packed = await plan("packed-suite.json");
    expect(packed.saes.map(({ hookName }) => hookName)).toEqual(
      [0, 1, 2, 3, 4, 5].map((layer) => `blocks.${layer}.hook_resid_post`),
    );
    // The packed ones are among the others, so that their metrics are the same.
    expect(saes.map(({ id }) => id)).toEqual(
      expect.arrayContaining(packed.saes.map(({ id }) => id)),
    );
  });
});

describe("suite run", () => {
  it("trains the SAEs, prints their metrics, and does nothing the second time", async () => {
    const path = await write("suite.json", suite);
    const first = await run(command(path, "out", "--json"));
    expect(first.stderr).not.toContain("fix:");
    expect(first.code).toBe(0);
    const { ran, skipped, metrics } = JSON.parse(first.stdout);
    expect(ran).toHaveLength(8);
    expect(skipped).toEqual([]);
    expect(metrics.rows.map(({ site }: { site: string }) => site)).toEqual(["res", "att"]);
    const again = await run(command(path, "out"));
    expect(again.code).toBe(0);
    expect(again.stderr).toContain("0 jobs, 8 done before");
    expect(again.stdout).toContain(metrics.rows[1].path);
    expect(await readFile(join(folder, "out/metrics.md"), "utf8")).toContain("2 of 2 SAEs");
  });

  it("refuses a folder of another model, and does it again with --redo", async () => {
    const path = await write("suite.json", suite);
    const refused = await run(command(path, "out", "--seed", "5"));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/SUITE_JOB_DIFFERS .*model\.weightsHash was .*--redo/su);
    const redone = await run(command(path, "out", "--seed", "5", "--redo", "--json"));
    expect(JSON.parse(redone.stdout).ran).toHaveLength(8);
  });

  it("generates worlds' text, and stops at its tokens", async () => {
    const path = await write("worlds.json", {
      ...suite,
      text: { worlds: { seed: 11, stage: "base", tokens: 6000 } },
      sites: ["res"],
    });
    const { code, stdout, stderr } = await run(command(path, "worlds", "--json", "--quiet"));
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const record = JSON.parse(
      await readFile(join(folder, "worlds/jobs/res/layer_1/harvest/job.json"), "utf8"),
    );
    expect(record.inputs.text).toEqual({
      worlds: { seed: 11, stage: "base", start: expect.stringMatching(/^[0-9a-f]{64}$/) },
      prose: null,
    });
    expect(JSON.parse(stdout).metrics.rows[0].tokens).toBeLessThan(6000);
  });

  it.each([
    [{ ...suite, widht: 3 }, "SUITE_INVALID"],
    [{ ...suite, layers: [7] }, "SUITE_LAYER"],
    [{ ...suite, model: undefined }, "SUITE_MODEL"],
    [{ ...suite, text: { files: ["nowhere.txt"] } }, "TEXT_UNREADABLE"],
    [{ ...suite, model: "nowhere" }, "MODEL_NOT_FOUND"],
  ])("says what is wrong, case %#", async (content, code) => {
    const { code: exit, stderr } = await run(command(await write("bad.json", content), "bad"));
    expect(stderr).toContain(code);
    expect(exit).toBe(1);
  });
});
