import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensorsFile, writeSafetensors } from "@latentkit/loaders/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-cli-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const commands = [
  "atlas",
  "capture",
  "doctor",
  "eval",
  "generate",
  "harvest",
  "inspect",
  "open",
  "serve",
  "sae encode",
  "sae eval",
  "train-lm",
  "train-tokenizer",
  "worlds",
];

describe("help", () => {
  it.each(["", ...commands])("%s --help goes to stdout and exits 0", async (command) => {
    const { code, stdout, stderr } = await run([...command.split(" ").filter(Boolean), "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: latentkit${command === "" ? "" : ` ${command}`}`);
    expect(stderr).toBe("");
  });

  it("names every command", async () => {
    const { stdout } = await run(["--help"]);
    for (const command of commands) expect(stdout).toContain(command.split(" ")[0]);
  });
});

describe("wrong usage exits 2", () => {
  it.each([
    { what: "an unknown command", args: ["atlsa"], says: "Did you mean atlas?" },
    { what: "an unknown flag", args: ["doctor", "--jsn"], says: "--json" },
    { what: "a missing flag", args: ["capture", "random", "--prompt", "a"], says: "--sites" },
    {
      what: "a number that is none",
      args: ["generate", "random", "--prompt", "a", "--max-tokens", "many"],
      says: "--max-tokens",
    },
    {
      what: "two prompts",
      args: [
        "capture",
        "random",
        "--prompt",
        "a",
        "--tokens",
        "1",
        "--sites",
        "logits",
        "--out",
        "x",
      ],
      says: "USAGE_PROMPT",
    },
    {
      what: "tokens that are none",
      args: ["generate", "random", "--tokens", "1,b"],
      says: "1,2,3;4,5,6",
    },
    {
      what: "an unknown recipe",
      args: ["atlas", "random", "--sae", "train", "--text", "x", "--out", "y", "--recipe", "z"],
      says: "--recipe",
    },
  ])("$what", async ({ args, says }) => {
    const { code, stdout, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(says);
  });
});

describe("errors exit 1 with two lines", () => {
  it.each([
    {
      what: "no such model",
      args: ["generate", "nowhere.gguf", "--prompt", "a"],
      says: "MODEL_NOT_FOUND",
    },
    { what: "no such path", args: ["inspect", "nowhere"], says: "PATH_MISSING" },
    {
      what: "no such site",
      args: [
        "capture",
        "random",
        "--prompt",
        "a",
        "--sites",
        "blocks.0.hook_resid_pots",
        "--out",
        "x",
      ],
      says: 'did you mean "blocks.0.hook_resid_post"',
    },
    {
      what: "a token outside the vocabulary",
      args: ["capture", "random", "--tokens", "1,999", "--sites", "logits", "--out", "x"],
      says: "TOKEN_RANGE",
    },
    {
      what: "no such text",
      args: [
        "harvest",
        "random",
        "--site",
        "blocks.0.hook_resid_post",
        "--text",
        "nowhere.txt",
        "--out",
        "x",
      ],
      says: "nowhere.txt",
    },
    {
      what: "an evaluation of a model that never saw the worlds",
      args: ["eval", "random"],
      says: "CHAT_MARKS_MISSING",
    },
    {
      what: "no such worlds file",
      args: ["eval", "random", "--worlds", "nowhere.json"],
      says: "FILE_MISSING",
    },
    {
      what: "no such SAE",
      args: ["sae", "encode", "nowhere", "--input", "x", "--out", "y"],
      says: "FILE_MISSING",
    },
  ])("$what", async ({ args, says }) => {
    const { code, stdout, stderr } = await run([...args, "--quiet"]);
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain(says);
    expect(stderr.trimEnd().split("\n")).toHaveLength(2);
    expect(stderr).toMatch(/\n {2}fix: .+\n$/);
  });
});

describe("bad files exit 1 with two lines, and leave nothing behind", () => {
  const harvestOf = (text: string) => [
    "harvest",
    "random",
    "--site",
    "blocks.0.hook_resid_post",
    "--text",
    text,
    "--out",
    join(folder, "never"),
  ];
  it.each<{
    what: string;
    name: string;
    bytes: Uint8Array;
    args: (path: string) => string[];
    says: string;
  }>([
    {
      what: "an empty text",
      name: "empty.txt",
      bytes: new Uint8Array(0),
      args: harvestOf,
      says: "TEXT_EMPTY",
    },
    {
      what: "text that is not UTF-8",
      name: "latin1.txt",
      bytes: Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x0a),
      args: harvestOf,
      says: "TEXT_NOT_UTF8",
    },
    {
      what: "a truncated GGUF file",
      name: "short.gguf",
      bytes: Uint8Array.of(0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, 9, 0, 0, 0),
      args: (path) => ["inspect", path],
      says: "GGUF_",
    },
    {
      what: "a safetensors file whose header lies",
      name: "lies.safetensors",
      bytes: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
      args: (path) => ["inspect", path],
      says: "SAFETENSORS_",
    },
  ])("$what", async ({ name, bytes, args, says }) => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    const { code, stdout, stderr } = await run([...args(path), "--quiet"]);
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain(says);
    expect(stderr).toContain(name);
    expect(stderr.trimEnd().split("\n")).toHaveLength(2);
  });
});

describe("capture", () => {
  it("writes named f32 tensors and the tokens", async () => {
    const out = join(folder, "capture.safetensors");
    const args = [
      "capture",
      "random",
      "--tokens",
      "1,2,3;4,5,6",
      "--sites",
      "blocks.1.hook_resid_post,blocks.0.attn.hook_pattern,logits",
      "--out",
      out,
      "--json",
      "--quiet",
    ];
    const { code, stdout } = await run(args);
    expect(code).toBe(0);
    const { tensors } = JSON.parse(stdout);
    expect(tensors).toContainEqual({ name: "logits", dtype: "f32", shape: [2, 3, 256] });
    const store = await openSafetensorsFile(out);
    expect(store.info("blocks.1.hook_resid_post")).toMatchObject({
      format: "F32",
      shape: [2, 3, 64],
    });
    expect(store.info("blocks.0.attn.hook_pattern").shape).toEqual([2, 4, 3, 3]);
    expect([...(await store.readIntegers("tokens"))]).toEqual([1, 2, 3, 4, 5, 6]);
    await store.close();
  });
});

describe("generate, several times", () => {
  const args = ["generate", "random", "--prompt", "ab", "--max-tokens", "6", "--quiet"];
  it("gives each sample, which with one seed are the same again", async () => {
    const json = await run([...args, "--samples", "3", "--seed", "4", "--json"]);
    const { samples } = JSON.parse(json.stdout) as {
      readonly samples: { readonly text: string; readonly tokens: number[] }[];
    };
    expect(samples.map(({ tokens }) => tokens.length <= 6)).toEqual([true, true, true]);
    expect(new Set(samples.map(({ tokens }) => tokens.join())).size).toBeGreaterThan(1);
    const plain = await run([...args, "--samples", "3", "--seed", "4"]);
    expect(plain.stdout).toBe(`${samples.map(({ text }) => text).join("\n---\n")}\n`);
    const one = await run([...args, "--seed", "4", "--json"]);
    expect(JSON.parse(one.stdout)).toMatchObject({ tokens: samples[0]?.tokens });
  });

  it("ends at a stop string", async () => {
    const greedy = [...args, "--greedy", "--ignore-eos", "--json"];
    const { text } = JSON.parse((await run(greedy)).stdout) as { readonly text: string };
    const stop = text.slice(2, 4);
    const cut = JSON.parse((await run([...greedy, "--stop", stop])).stdout) as object;
    expect(cut).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish: "stop" });
    const refused = await run([...args, "--min-p", "2"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("--min-p");
  });
});

describe("generate", () => {
  it("gives the same tokens for the same seed, and as many as asked for", async () => {
    const args = [
      "generate",
      "random",
      "--prompt",
      "hello",
      "--max-tokens",
      "12",
      "--ignore-eos",
      "--seed",
      "7",
      "--json",
      "--quiet",
    ];
    const [first, second] = [await run(args), await run(args)];
    expect(first).toEqual(second);
    expect(JSON.parse(first.stdout)).toMatchObject({ finish: "length", seed: 7 });
    expect(JSON.parse(first.stdout).tokens).toHaveLength(12);
  });
});

describe("atlas", () => {
  const text = () => join(folder, "text.jsonl");
  const small = [
    "--width",
    "128",
    "--presentations",
    "8192",
    "--batch",
    "4",
    "--splice-contexts",
    "4",
    "--held-out",
    "0.3",
  ];
  const atlas = (...flags: string[]) =>
    run(["atlas", "random", "--text", text(), ...small, "--quiet", ...flags]);

  beforeAll(async () => {
    const lines = Array.from({ length: 24 }, (_, index) =>
      JSON.stringify({
        id: `d${index}`,
        text: `Document ${index}. ${"The quick brown fox jumps. ".repeat(6 + index)}`,
      }),
    );
    await writeFile(text(), `${lines.join("\n")}\n`);
  });

  it("goes the whole path, and a second run changes nothing but the date", async () => {
    const out = join(folder, "atlas");
    const { code, stdout, stderr } = await atlas("--sae", "train", "--out", out);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toContain("report.html");
    const result = JSON.parse(await readFile(join(out, "result.json"), "utf8"));
    expect(result).toMatchObject({
      kind: "latentkit.atlas",
      sae: { architecture: "jumprelu", dSae: 128, dIn: 64 },
    });
    expect(await readFile(join(out, "report.html"), "utf8")).toContain("<!doctype html>");
    expect(await readdir(join(out, "figures"))).toContain("density.svg");
    expect((await atlas("--sae", "train", "--out", out)).code).toBe(0);
    const again = JSON.parse(await readFile(join(out, "result.json"), "utf8"));
    expect({ ...again, createdAt: "" }).toEqual({ ...result, createdAt: "" });
  });

  it("takes an SAE that is already there, encodes with it, and tells what it is", async () => {
    const sae = join(folder, "atlas", "sae");
    const { code, stdout } = await atlas(
      "--sae",
      sae,
      "--out",
      join(folder, "atlas-of-sae"),
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout).site.name).toBe("blocks.0.hook_resid_post");
    const input = join(folder, "input.safetensors");
    await writeSafetensors(input, [
      { name: "input", dtype: "f32", shape: [3, 64], bytes: new Float32Array(192).fill(0.1) },
    ]);
    const encoded = await run([
      "sae",
      "encode",
      sae,
      "--input",
      input,
      "--out",
      join(folder, "features.safetensors"),
      "--json",
      "--quiet",
    ]);
    expect(JSON.parse(encoded.stdout)).toMatchObject({ rows: 3, dIn: 64, dSae: 128 });
    for (const path of [sae, join(folder, "atlas"), join(folder, "atlas", "activations"), input]) {
      expect((await run(["inspect", path])).code).toBe(0);
    }
  });

  it("refuses an SAE of another site", async () => {
    const { code, stderr } = await atlas(
      "--sae",
      join(folder, "atlas", "sae"),
      "--site",
      "blocks.1.hook_resid_post",
      "--out",
      join(folder, "other"),
    );
    expect(code).toBe(1);
    expect(stderr).toContain("SAE_SITE");
    expect(stderr).toContain("blocks.0.hook_resid_post");
  });

  it("refuses input of another width", async () => {
    const input = join(folder, "narrow.safetensors");
    await writeSafetensors(input, [
      { name: "input", dtype: "f32", shape: [2, 32], bytes: new Float32Array(64) },
    ]);
    const { code, stderr } = await run([
      "sae",
      "encode",
      join(folder, "atlas", "sae"),
      "--input",
      input,
      "--out",
      join(folder, "none"),
      "--quiet",
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/SAE_WIDTH.*32.*64/);
  });

  it("stops on request with nothing lost, and goes on to the same result", async () => {
    const out = join(folder, "interrupted");
    const controller = new AbortController();
    const args = ["atlas", "random", "--sae", "train", "--text", text(), ...small, "--out", out];
    const stopped = await run(args, {
      signal: controller.signal,
      onStderr: (all) => {
        if (all.includes("train-sae")) controller.abort();
      },
    });
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toContain("ABORTED");
    expect(stopped.stderr).toMatch(/the checkpoint of step \d+ is in .*training/);
    expect((await run(args)).code).toBe(0);
    const [resumed, whole] = await Promise.all(
      [out, join(folder, "atlas")].map(async (path) =>
        JSON.parse(await readFile(join(path, "result.json"), "utf8")),
      ),
    );
    expect(resumed.sae.identity).toBe(whole.sae.identity);
  });
});
