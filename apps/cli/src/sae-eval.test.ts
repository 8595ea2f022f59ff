import { Random } from "@latentkit/core";
import { parseSaeEvaluation, Sae } from "@latentkit/sae";
import { saveSae } from "@latentkit/sae/node";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

const site = "blocks.1.hook_resid_post";
let folder: string;
let sae: string;
let text: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-sae-eval-"));
  sae = join(folder, "sae");
  text = join(folder, "text.jsonl");
  using device = new Device(createReferenceBackend());
  const [dIn, dSae] = [64, 96];
  const random = new Random(2);
  const rows = random.fillNormal(new Float32Array(dSae * dIn), 1 / 8);
  using made = Sae.fromWeights(
    device,
    { architecture: "topk", k: 12, dIn, dSae, metadata: { hookName: site, contextSize: 32 } },
    {
      encoderRows: rows,
      decoder: rows,
      encoderBias: new Float32Array(dSae),
      decoderBias: new Float32Array(dIn),
      threshold: null,
    },
  );
  await saveSae(made, sae);
  const lines = Array.from({ length: 12 }, (_, index) =>
    JSON.stringify({ id: String(index), text: `Text ${index}. `.repeat(4 + (index % 3)) }),
  );
  await writeFile(text, `${lines.join("\n")}\n`);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const common = ["--model", "random", "--resamples", "50", "--quiet"];

describe("sae eval", () => {
  it("measures on text: a table, the same as JSON, and as a page", async () => {
    const args = ["sae", "eval", sae, ...common, "--text", text, "--splice-contexts", "4"];
    const out = join(folder, "evaluation");
    const shown = await run([...args, "--out", out]);
    expect(shown.stderr).toBe("");
    expect(shown.code).toBe(0);
    for (const name of ["L0", "FVU, legacy", "delta loss", "KL score", "uniformity of importance"])
      expect(shown.stdout).toContain(name);
    const written = parseSaeEvaluation(
      JSON.parse(await readFile(join(out, "result.json"), "utf8")),
    );
    expect(written).toMatchObject({ site, sae: { dSae: 96 }, splice: { contexts: 4 } });
    expect(written.metrics.l0).toBeGreaterThan(1);
    expect(written.metrics.documents).toBe(12);
    expect(await readFile(join(out, "report.html"), "utf8")).toContain("An SAE of");
    const json = await run([...args, "--json"]);
    expect(parseSaeEvaluation(JSON.parse(json.stdout))).toEqual(written);
  });

  it("reads shards, and finds in them what the text says", async () => {
    const shards = join(folder, "shards");
    const harvested = await run(
      `harvest random --site ${site} --text ${text} --out ${shards} --context 32 --held-out 0.5 --quiet`.split(
        " ",
      ),
    );
    expect(harvested.code).toBe(0);
    const args = ["sae", "eval", sae, ...common, "--uniformity", "0", "--json"];
    const read = await run([...args, "--shards", shards, "--split", "train"]);
    expect(read.stderr).toBe("");
    const result = parseSaeEvaluation(JSON.parse(read.stdout));
    expect(result.uniformity).toBeNull();
    expect(result.metrics.documents).toBeLessThan(12);

    // The same documents as text give the same figures: one way to cut, one mask.
    const documents = (await readFile(join(shards, "documents.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string; split: string });
    const train = new Set(documents.filter(({ split }) => split === "train").map(({ id }) => id));
    const lines = (await readFile(text, "utf8"))
      .trim()
      .split("\n")
      .filter((line) => train.has((JSON.parse(line) as { id: string }).id));
    const some = join(folder, "train.jsonl");
    await writeFile(some, `${lines.join("\n")}\n`);
    const again = parseSaeEvaluation(JSON.parse((await run([...args, "--text", some])).stdout));
    expect(again.metrics.tokens).toBe(result.metrics.tokens);
    expect(again.metrics.fvu).toBeCloseTo(result.metrics.fvu ?? Number.NaN, 5);
    expect(again.splice.delta).toBeCloseTo(result.splice.delta ?? Number.NaN, 5);
  });

  it("wants one source, the right width, and a site", async () => {
    const neither = await run(["sae", "eval", sae, ...common]);
    expect(neither.code).toBe(2);
    expect(neither.stderr).toContain("neither --text nor --shards");
    const wrong = await run(
      ["sae", "eval", sae, ...common, "--text", text].concat("--site", "blocks.0.mlp.hook_post"),
    );
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("SAE_WIDTH");
  });
});
