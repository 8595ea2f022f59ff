import { tokenizerFromJson } from "@latentkit/loaders";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-train-tokenizer-"));
  const lines = ["the cat sat on the mat", "the cat of 1999"].map((text) =>
    JSON.stringify({ text }),
  );
  await writeFile(join(folder, "a.jsonl"), `${lines.join("\n")}\n`);
  await writeFile(join(folder, "b.txt"), "the hat that the cat had\n".repeat(20));
  await writeFile(join(folder, "empty.txt"), "\n");
  await writeFile(join(folder, "chat.jinja"), "{{ messages[0].content }}<|end|>");
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const train = (out: string, ...more: string[]) => {
  const texts = ["--text", join(folder, "a.jsonl"), join(folder, "b.txt")];
  return ["train-tokenizer", ...texts, "--out", join(folder, out), ...more];
};
const read = async (...path: string[]): Promise<unknown> =>
  JSON.parse(await readFile(join(folder, ...path), "utf8"));

describe("train-tokenizer", () => {
  it("writes a tokenizer that reads what it was trained on", async () => {
    const special = ["--special", "<|text|>", "<|end|>", "--bos", "<|text|>", "--eos", "<|end|>"];
    const more = ["--chat-template", join(folder, "chat.jinja"), "--max-length", "64"];
    const args = train("new/tokenizer", "--vocabulary", "270", ...special, ...more, "--json");
    const { code, stdout, stderr } = await run(args);
    expect({ code, errors: /error/i.test(stderr) }).toEqual({ code: 0, errors: false });
    expect(stderr).toContain("270 / 270 tokens");
    expect(JSON.parse(stdout)).toMatchObject({ vocabularySize: 270, merges: 12, texts: 3 });
    expect((await readdir(join(folder, "new/tokenizer"))).toSorted()).toEqual([
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const config = await read("new/tokenizer/tokenizer_config.json");
    expect(config).toMatchObject({ model_max_length: 64, pad_token: null });
    const tokenizer = tokenizerFromJson(await read("new/tokenizer/tokenizer.json"), config);
    expect(tokenizer.specialTokens).toMatchObject({ bos: 0, eos: 1, pad: null });
    expect(tokenizer.chatTemplate).toContain("<|end|>");
    const { ids } = tokenizer.encode("the cat");
    expect([...ids].map((id) => tokenizer.tokenText(id))).toEqual(["the", " cat"]);
  });

  it("prints a table, and writes the same again", async () => {
    const { code, stdout, stderr } = await run(train("one", "--vocabulary", "260", "--quiet"));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/vocabulary.*characters in a token/);
    await run(train("two", "--vocabulary", "260", "--quiet"));
    expect(await read("two", "tokenizer.json")).toEqual(await read("one", "tokenizer.json"));
  });

  it.each([
    ["--vocabulary", ["--vocabulary", "many"], 2, "USAGE_OPTION"],
    ["no vocabulary", [], 2, "--vocabulary"],
    ["too small a vocabulary", ["--vocabulary", "200"], 1, "TOKENIZER_VOCABULARY_SMALL"],
    ["an unknown end", ["--vocabulary", "300", "--eos", "x"], 1, "TOKENIZER_TRAINING_OPTIONS"],
    ["no template", ["--vocabulary", "300", "--chat-template", "none"], 1, "FILE_MISSING"],
  ])("refuses %s and writes nothing", async (_what, flags, expected, says) => {
    const { code, stderr } = await run(train("refused", ...flags));
    expect(code).toBe(expected);
    expect(stderr).toContain(says);
    expect(await readdir(folder)).not.toContain("refused");
  });

  it("writes nothing after Ctrl-C", async () => {
    const { code, stderr } = await run(train("stopped", "--vocabulary", "300"), {
      signal: AbortSignal.abort(),
    });
    expect(code).toBe(1);
    expect(stderr).toContain("ABORTED");
    expect(await readdir(folder)).not.toContain("stopped");
  });
});
