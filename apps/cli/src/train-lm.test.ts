import { trainByteLevelBpe } from "@latentkit/loaders";
import { openCheckpoint } from "@latentkit/loaders/node";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";
import { sparkline } from "./train-lm/curve.ts";

let folder: string;
let vocabularySize: number;

const config = {
  model: { layers: 1, dModel: 16, heads: 2, kvHeads: 1, dHead: 8, dMlp: 24, contextSize: 16 },
  tokenizer: "tokenizer",
  endTokens: ["<|im_end|>"],
  data: { text: ["train.txt"], validation: ["held.txt"] },
  validationContexts: 4,
  snapshots: true,
  training: {
    tokens: 64 * 40,
    batch: 4,
    learningRate: 0.01,
    warmUpSteps: 5,
    validateEvery: 640,
    evaluateEvery: 1280,
    averageShare: 0.2,
    averageEvery: 2,
  },
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-train-lm-"));
  await mkdir(join(folder, "tokenizer"));
  const pieces = ["the cat sat on the mat and the dog", "user\nassistant\n"];
  const { tokenizerJson, summary } = await trainByteLevelBpe([...pieces, ...pieces], {
    vocabularySize: 320,
    specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
  });
  ({ vocabularySize } = summary);
  await json("tokenizer/tokenizer.json", tokenizerJson);
  await json("tokenizer/tokenizer_config.json", { eos_token: "<|endoftext|>" });
  await writeFile(join(folder, "train.txt"), "the cat sat on the mat and the dog\f".repeat(20));
  await writeFile(join(folder, "held.txt"), "the dog sat on the mat");
  await json("config.json", config);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function json(name: string, content: unknown): Promise<string> {
  await writeFile(join(folder, name), JSON.stringify(content));
  return join(folder, name);
}

const command = (out: string, ...more: string[]) => [
  "train-lm",
  join(folder, "config.json"),
  "--out",
  join(folder, out),
  ...more,
];

describe("train-lm", () => {
  it("trains, keeps snapshots and metrics, and leaves a model that can be used", async () => {
    const { code, stdout, stderr } = await run(command("whole", "--json"));
    expect(stderr).not.toContain("fix:");
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ steps: 40, tokens: 2560, model: join(folder, "whole/model") });
    expect(result.validation).toBeLessThan(6);
    expect((await readdir(join(folder, "whole"))).sort()).toEqual([
      "checkpoint",
      "loss.svg",
      "model",
      "model-f16",
      "snapshots",
      "training.json",
    ]);
    expect((await readdir(join(folder, "whole/snapshots"))).sort()).toEqual(["1280", "2560"]);
    const lines = (await readFile(join(folder, "whole/checkpoint/metrics.jsonl"), "utf8"))
      .trim()
      .split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ step: 40, tokens: 2560 });
    expect(await readFile(join(folder, "whole/loss.svg"), "utf8")).toContain(
      "Training loss over 2,560",
    );
    const checkpoint = await openCheckpoint(join(folder, "whole/model"));
    expect(checkpoint.config).toMatchObject({ eos_token_id: 2, vocab_size: vocabularySize });
    await checkpoint.close();
    const generated = await run([
      "generate",
      join(folder, "whole/model-f16"),
      "--prompt",
      "the cat",
      "--max-tokens",
      "4",
      "--greedy",
    ]);
    expect(generated.code).toBe(0);
  });

  it("stops on request, goes on where it stopped, and ends with the same model", async () => {
    const controller = new AbortController();
    const stopped = await run(command("stopped"), {
      signal: controller.signal,
      onStderr: (all) => {
        if (all.includes("tokens")) controller.abort();
      },
    });
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toMatch(/ABORTED .*the checkpoint of step \d+ is in /u);
    expect(stopped.stderr).toContain("run the same command again to go on");
    expect(existsSync(join(folder, "stopped/model"))).toBe(false);
    expect((await run(command("stopped", "--quiet"))).code).toBe(0);
    const [resumed, whole] = await Promise.all(
      ["stopped", "whole"].map((out) => readFile(join(folder, out, "model/model.safetensors"))),
    );
    expect(whole?.equals(resumed ?? new Uint8Array())).toBe(true);
  });

  it("goes on from a model that is there, with the assistant's words alone", async () => {
    const turns = [
      { role: "user", content: "the cat" },
      { role: "assistant", content: "sat on the mat" },
    ];
    await json("chat.jsonl", { text: "", turns });
    await json("tokenizer/tokenizer_config.json", {
      eos_token: "<|endoftext|>",
      chat_template:
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    });
    const path = await json("tuned.json", {
      model: { from: "whole/model" },
      tokenizer: "tokenizer",
      data: { text: ["chat.jsonl"] },
      targets: "assistant",
      contextSize: 15,
      training: { tokens: 60 * 20, batch: 4, learningRate: 0.01, warmUpSteps: 2, logEvery: 1 },
    });
    const { code, stderr } = await run(["train-lm", path, "--out", join(folder, "tuned")]);
    expect(stderr).not.toContain("fix:");
    expect(code).toBe(0);
    const lines = (await readFile(join(folder, "tuned/checkpoint/metrics.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.at(-1).loss).toBeLessThan(lines[0].loss - 0.5);
  });
});

describe("train-lm on worlds", () => {
  it("resumes their stream, and validates on another seed and on prose that training leaves out", async () => {
    const texts = Array.from({ length: 40 }, (_, index) => ({
      id: `text-${index}`,
      source: "test",
      licence: "CC0-1.0",
      text: `Text number ${index} of the prose is about the weather. `.repeat(20),
    }));
    await writeFile(
      join(folder, "prose.jsonl"),
      texts.map((text) => `${JSON.stringify(text)}\n`).join(""),
    );
    const path = await json("worlds.json", {
      ...config,
      data: { worlds: { seed: 3, stage: "base", prose: "prose.jsonl" } },
      snapshots: false,
    });
    const args = (out: string) => [
      "train-lm",
      path,
      "--out",
      join(folder, out),
      "--quiet",
      "--json",
    ];
    const controller = new AbortController();
    const stopped = await run(args("worlds").slice(0, -2), {
      signal: controller.signal,
      onStderr: (all) => {
        if (all.includes("tokens")) controller.abort();
      },
    });
    expect(stopped.stderr).toContain("ABORTED");
    const [resumed, whole] = [await run(args("worlds")), await run(args("worlds-whole"))];
    const [a, b] = [JSON.parse(resumed.stdout), JSON.parse(whole.stdout)];
    expect(a.validation).toBe(b.validation);
    const models = await Promise.all(
      ["worlds", "worlds-whole"].map((out) =>
        readFile(join(folder, out, "model/model.safetensors")),
      ),
    );
    expect(models[0]?.equals(models[1] ?? new Uint8Array())).toBe(true);
    // Prose of other content is another stream.
    await writeFile(join(folder, "prose.jsonl"), `${JSON.stringify(texts[0])}\n`.repeat(21));
    const changed = await run(args("worlds"));
    expect(changed.stderr).toMatch(/CHECKPOINT_DATA.*documents was/u);
  });
});

describe("train-lm says what is wrong", () => {
  it.each([
    [{ ...config, tokenizer: undefined }, "TOKENIZER_MISSING"],
    [{ ...config, training: { tokens: 5 } }, "TRAINING_CONFIG"],
    [{ ...config, modle: 1 }, "JSON_SCHEMA"],
    [{ ...config, endTokens: ["<nope>"] }, "TOKEN_UNKNOWN"],
    [{ ...config, tokenizer: "nowhere" }, "FILE_MISSING"],
    [{ ...config, model: { ...config.model, heads: 3, kvHeads: 2 } }, "CONFIG_INVALID"],
  ])("case %#", async (content, code) => {
    const path = await json("bad.json", content);
    const outcome = await run(["train-lm", path, "--out", join(folder, "bad")]);
    expect(outcome.stderr).toContain(code);
    expect(outcome.code).toBe(1);
    expect(existsSync(join(folder, "bad"))).toBe(false);
  });
});

describe("the curve", () => {
  it("shows the whole course in few characters", () => {
    expect(sparkline([4, 3, 2, 1], 4)).toBe("█▆▃▁");
    expect(sparkline([8, 6, 4, 4, 2, 0], 3)).toBe("█▅▁");
    expect(sparkline([1, 1])).toBe("▁▁");
    expect(sparkline(Array.from({ length: 1000 }, (_, index) => -index))).toHaveLength(24);
  });
});
