import { spawn } from "node:child_process";
import { createReadStream, readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile } from "@latentkit/loaders/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const models = process.env["LATENTKIT_MODELS"];
const texts = process.env["LATENTKIT_TEXT"];
const available = models !== undefined && texts !== undefined;

if (!available && process.env["CI"] !== "true") {
  process.stderr.write(
    "real-model.model.test.ts is skipped: set LATENTKIT_MODELS and LATENTKIT_TEXT\n",
  );
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line as a process of its own, from source; `onStderr` may send it one signal. */
function latentkit(
  args: readonly string[],
  onStderr: (all: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
): Promise<Outcome> {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const node = ["--conditions=@latentkit/source", "--import", "tsx", main];
  const child = spawn(process.execPath, [...node, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  let signalled = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    onStderr(stderr, (signal) => {
      if (!signalled) child.kill(signal);
      signalled = true;
    });
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

describe.skipIf(!available && process.env["CI"] !== "true")("the real model", () => {
  let folder: string;
  let model: string;
  let corpus: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "latentkit-real-"));
    const gguf = readdirSync(models ?? "").find((name) => name.endsWith(".gguf"));
    model = join(models ?? "", gguf ?? "");
    corpus = join(folder, "corpus.jsonl");
    await writeFile(corpus, (await documentStarts(join(texts ?? "", "docs.jsonl"), 32)).join("\n"));
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("answers through its chat template", async () => {
    const prompt = "What is the capital of France?";
    const args = ["generate", model, "--prompt", prompt, "--chat", "--greedy", "--json"];
    const { code, stdout } = await latentkit([...args, "--quiet"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      text: "The capital of France is Paris.",
      finish: "stop",
    });
  });

  it("captures the logits that Hugging Face transformers computes", async () => {
    const fixture = new URL(
      "../../../packages/models/src/__fixtures__/smollm2.golden.safetensors",
      import.meta.url,
    );
    const golden = await openSafetensorsFile(fileURLToPath(fixture));
    const tokens = await golden.readIntegers("chat.tokens");
    const expected = await golden.readFloats("chat.fullLogits");
    const [position = 0] = await golden.readIntegers("chat.fullPositions");
    const [std = 0] = await golden.readFloats("chat.std");
    await golden.close();
    const out = join(folder, "logits.safetensors");
    const args = ["--tokens", tokens.join(","), "--sites", "logits", "--out", out, "--quiet"];
    expect((await latentkit(["capture", model, ...args])).code).toBe(0);
    const captured = await openSafetensorsFile(out);
    const logits = await captured.readFloats("logits");
    await captured.close();
    const row = logits.subarray(position * expected.length, (position + 1) * expected.length);
    const differences = row.map((logit, token) => Math.abs(logit - (expected[token] ?? 0)));
    expect(differences.reduce((most, each) => Math.max(most, each), 0) / std).toBeLessThan(1e-3);
  });

  it("goes from text to an atlas through Ctrl-C and a kill, with nothing lost", async () => {
    const out = join(folder, "atlas");
    const flags = ["--width", "512", "--presentations", "20480", "--splice-contexts", "8"];
    const held = ["--held-out", "0.25", "--batch", "4"];
    const args = [
      "atlas",
      model,
      "--sae",
      "train",
      "--text",
      corpus,
      ...flags,
      ...held,
      "--out",
      out,
    ];

    const interrupted = await latentkit(args, (all, kill) => {
      if (all.includes("› harvest")) kill("SIGINT");
    });
    expect(interrupted.code).toBe(1);
    expect(interrupted.stderr).toMatch(/ABORTED .+\n {2}fix: run the same command again/);

    const killed = await latentkit(args, (all, kill) => {
      if (all.includes("train-sae")) kill("SIGKILL");
    });
    expect(killed.code).toBeNull();

    const { code, stdout } = await latentkit(args);
    expect(code).toBe(0);
    expect(stdout).toContain("blocks.9.hook_resid_post");
    const result = JSON.parse(await readFile(join(out, "result.json"), "utf8"));
    expect(result).toMatchObject({
      site: { name: "blocks.9.hook_resid_post", layer: 9 },
      sae: { dIn: 576, dSae: 512, architecture: "jumprelu", recipe: "short-run" },
      training: { presentations: 20_480 },
    });
    const metrics = Object.fromEntries(
      result.metrics.map(({ id, value }: { id: string; value: number }) => [id, value]),
    );
    expect(metrics.fvu).toBeGreaterThan(0);
    expect(metrics.fvu).toBeLessThan(1);
    expect(metrics.deltaLoss).toBeGreaterThan(0);
    expect(metrics.recovered).toBeLessThan(1);
    expect(await readFile(join(out, "report.html"), "utf8")).toContain("SmolLM2-135M-Instruct");
  });
});

/** The first 800 characters of some documents, as JSON lines. */
async function documentStarts(path: string, count: number): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: createReadStream(path, "utf8") })) {
    const { id, text } = JSON.parse(line);
    lines.push(JSON.stringify({ id, text: text.slice(0, 800) }));
    if (lines.length === count) break;
  }
  return lines;
}
