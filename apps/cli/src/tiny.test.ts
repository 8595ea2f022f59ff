import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

/** Weights that are to be tried before they are packaged, if there are any: see `tinyData`. */
const env = { LATENTKIT_TINY: process.env["LATENTKIT_TINY"] };

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-cli-tiny-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("MODEL tiny", () => {
  it.each(["tiny", "tiny-instruct"])("%s continues a prompt", async (model) => {
    const args = ["generate", model, "--prompt", "Once", "--max-tokens", "6", "--ignore-eos"];
    const { code, stdout, stderr } = await run([...args, "--greedy", "--json", "--quiet"], { env });
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(JSON.parse(stdout).tokens).toHaveLength(6);
  });

  it("is inspected as its checkpoint", async () => {
    const { code, stdout } = await run(["inspect", "tiny", "--json"], { env });
    expect(code).toBe(0);
    expect(JSON.stringify(JSON.parse(stdout))).toContain("blocks.L.hook_resid_post");
  });

  it.each([
    ["generate", "tiny", "--prompt", "a"],
    ["generate", "tiny-instruct", "--prompt", "a"],
    ["atlas", "tiny", "--out", "never"],
  ])("says in two lines that the data is missing: %s %s", async (...args) => {
    const missing = { LATENTKIT_TINY: join(folder, "nowhere") };
    const { code, stdout, stderr } = await run([...args, "--quiet"], { env: missing });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^TINY_MISSING .+base\/config\.json\n {2}fix: .+\n$/);
  });
});

describe("latentkit atlas tiny", () => {
  const few = ["--max-tokens", "4000", "--splice-contexts", "4", "--quiet"];

  it("charts the packaged SAE of the middle layer on text of the worlds, and serves the report", async () => {
    const out = join(folder, "atlas");
    const controller = new AbortController();
    const pages: Promise<string>[] = [];
    const { code, stdout, stderr } = await run(
      ["atlas", "tiny", ...few, "--out", out, "--serve", "--port", "0"],
      {
        env,
        signal: controller.signal,
        onStdout: (text) => {
          const [address] = /http:\/\/127\.0\.0\.1:\d+\//u.exec(text) ?? [];
          if (address === undefined) return;
          const page = fetch(address).then((response) => response.text());
          pages.push(page);
          void page.finally(() => controller.abort("SIGINT"));
        },
      },
    );
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toContain("tiny blocks.3.hook_resid_post");
    const [page] = await Promise.all(pages);
    expect(page).toBe(await readFile(join(out, "report.html"), "utf8"));
    const result = JSON.parse(await readFile(join(out, "result.json"), "utf8"));
    expect(result).toMatchObject({ model: { name: "tiny" }, sae: { dIn: 256 } });
    expect(JSON.stringify(result)).toContain("worlds (mixture of the base, seed 77)");
    expect(JSON.stringify(result)).not.toContain("--serve");
  });

  it("takes the SAE of the site that is asked for", async () => {
    const out = join(folder, "atlas-of-layer-1");
    const site = ["--site", "blocks.1.hook_resid_post"];
    const { stdout, stderr } = await run(
      ["atlas", "tiny", ...site, ...few, "--out", out, "--json"],
      { env },
    );
    expect(stderr).toBe("");
    expect(JSON.parse(stdout).site.name).toBe("blocks.1.hook_resid_post");
  });

  it.each([
    ["a site without an SAE", ["tiny", "--site", "blocks.1.hook_mlp_out"], "--site"],
    ["a layer that there is not", ["tiny", "--site", "blocks.6.hook_resid_post"], "--site"],
    ["an SAE of the base for another model", ["tiny-instruct", "--sae", "packaged"], "--sae train"],
    ["no SAE for another version", ["tiny-instruct"], "--sae"],
    ["no SAE for another model", ["random", "--text", "a.txt"], "--sae"],
    ["no text for another model", ["random", "--sae", "train"], "--text"],
  ])("is wrong usage: %s", async (_, args, says) => {
    const { code, stderr } = await run(["atlas", ...args, "--out", join(folder, "never")], { env });
    expect(code).toBe(2);
    expect(stderr).toContain("USAGE_ATLAS");
    expect(stderr).toContain(says);
  });
});
