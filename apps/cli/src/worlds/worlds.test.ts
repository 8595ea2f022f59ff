import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDocuments } from "@latentkit/activations/node";
import { specialTokens, tinyMixture, type WorldDocument } from "@latentkit/worlds";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../testing/run.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-cli-worlds-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function linesOf(path: string): Promise<WorldDocument[]> {
  const text = await readFile(path, "utf8");
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as WorldDocument);
}

const worlds = (...flags: string[]) => run(["worlds", ...flags, "--quiet", "--json"]);

describe("latentkit worlds", () => {
  it("writes the mixture that the embedded model reads, with its labels", async () => {
    const out = join(folder, "mixture.jsonl");
    const { code, stdout } = await worlds("--seed", "7", "--characters", "20000", "--out", out);
    expect(code).toBe(0);
    const lines = await linesOf(out);
    const mixture = tinyMixture({ seed: 7, stage: "base" });
    expect(lines).toEqual(lines.map(() => JSON.parse(JSON.stringify(mixture.next()))));
    const characters = lines.reduce((sum, { text }) => sum + text.length, 0);
    expect(characters).toBeGreaterThanOrEqual(20_000);
    expect(characters - lines.at(-1)!.text.length).toBeLessThan(20_000);
    expect(JSON.parse(stdout)).toEqual({
      name: "mixture",
      stage: "base",
      seed: 7,
      lines: lines.length,
      documents: lines.length,
      characters,
      out,
    });
    const labelled = lines.find(({ spans }) => spans.length > 0)!;
    const [span] = labelled.spans;
    expect(labelled.text.slice(span!.start, span!.end).length).toBe(span!.end - span!.start);
  });

  it("writes the documents of one world, in its own order and stage", async () => {
    const out = join(folder, "one.jsonl");
    const stage = ["--stage", "instruct", "--seed", "3", "--characters", "5000", "--out", out];
    expect((await worlds("instructions", ...stage)).code).toBe(0);
    const lines = await linesOf(out);
    expect(lines.map(({ id }) => id)).toEqual(lines.map((_, index) => `instructions/${index}`));
    expect(lines.every(({ turns }) => turns !== null)).toBe(true);
  });

  it("gives the same bytes for the same flags", async () => {
    const paths = ["a.jsonl", "b.jsonl"].map((name) => join(folder, name));
    for (const out of paths) await worlds("facts", "--characters", "3000", "--out", out);
    const [a, b] = await Promise.all(paths.map((path) => readFile(path)));
    expect(a!.equals(b!)).toBe(true);
  });

  it("cuts texts at special tokens for tokenizer training", async () => {
    const out = join(folder, "split.jsonl");
    const flags = ["--stage", "instruct", "--characters", "8000", "--split-special", "--out", out];
    const { stdout } = await worlds(...flags);
    const { lines, documents } = JSON.parse(stdout) as { lines: number; documents: number };
    expect(lines).toBeGreaterThan(documents);
    const texts: string[] = [];
    for await (const { id, text } of readDocuments([out])) {
      expect(id).toMatch(/^[\w-]+\/\d+#\d+$/u);
      texts.push(text);
    }
    expect(texts).toHaveLength(lines);
    for (const token of specialTokens) expect(texts.join("")).not.toContain(token);
    // Nothing else is lost.
    const mixture = tinyMixture({ seed: 0, stage: "instruct" });
    const whole = Array.from({ length: documents }, () => mixture.next().text).join("");
    const bare = specialTokens.reduce((text, token) => text.replaceAll(token, ""), whole);
    expect(texts.join("").replace(/\s/gu, "")).toBe(bare.replace(/\s/gu, ""));
  });

  it("mixes in prose where it is given", async () => {
    const path = join(folder, "prose.jsonl");
    const text = Array.from({ length: 40 }, (_, n) => `Line ${n} of an old book.`).join("\n\n");
    await writeFile(path, `${JSON.stringify({ id: "b", source: "s", licence: "none", text })}\n`);
    const out = join(folder, "with-prose.jsonl");
    const flags = ["--prose", path, "--characters", "600", "--out", out];
    expect((await worlds("prose", ...flags)).code).toBe(0);
    expect((await linesOf(out))[0]).toMatchObject({ world: "prose", labels: { source: "s" } });
  });

  it.each([
    ["an unknown world", ["fatcs"], 1, 'did you mean "facts"'],
    ["prose without texts", ["prose"], 1, "--prose FILE"],
    ["a world of the other stage", ["facts", "--stage", "instruct"], 1, "WORLD_UNKNOWN"],
    ["an unknown stage", ["--stage", "chat"], 2, "--stage"],
    ["a file of prose that is not there", ["--prose", "nowhere.jsonl"], 1, "FILE_MISSING"],
    ["no length", ["--characters", "0"], 2, "--characters"],
  ])("refuses %s, and writes nothing", async (_, flags, code, says) => {
    const before = await readdir(folder);
    const out = join(folder, "never.jsonl");
    const outcome = await run(["worlds", "--characters", "100", "--out", out, ...flags, "--quiet"]);
    expect(outcome).toMatchObject({ code, stdout: "" });
    expect(outcome.stderr).toContain(says);
    expect(await readdir(folder)).toEqual(before);
  });

  it("stops when told to, and leaves no half file", async () => {
    const out = join(folder, "stopped.jsonl");
    const { code, stderr } = await run(["worlds", "--characters", "1000", "--out", out], {
      signal: AbortSignal.abort(),
    });
    expect(code).toBe(1);
    expect(stderr).toContain("ABORTED");
    expect((await readdir(folder)).filter((name) => name.startsWith("stopped"))).toEqual([]);
  });
});
