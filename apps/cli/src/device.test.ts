import { describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

const generate = ["generate", "random", "--tokens", "1,2", "--greedy", "--max-tokens", "3"];

/** Commands with `--device`, with what they need to get as far as their flags. */
const commands = [
  generate,
  ["capture", "random", "--tokens", "1", "--sites", "logits", "--out", "no/such/folder"],
  ["harvest", "random", "--site", "logits", "--text", "none.txt", "--out", "no/such/folder"],
  ["sae", "encode", "none", "--input", "none", "--out", "no/such/folder"],
  ["sae", "eval", "none", "--model", "random", "--text", "none.txt"],
  ["sae", "train", "none.json", "--out", "no/such/folder"],
];

describe("--device", () => {
  it.each(commands)(
    "%s %s refuses a device that there is not, and names those there are",
    async (...args) => {
      const { code, stderr } = await run([...args, "--device", "gpu"]);
      expect(code).toBe(2);
      expect(stderr).toContain("USAGE_OPTION --device");
      for (const name of ["auto", "cpu", "webgpu"]) expect(stderr).toContain(`"${name}"`);
    },
  );

  it("says on stderr what was taken and why, and computes the same as without it", async () => {
    const asked = await run([...generate, "--json", "--device", "cpu"]);
    const bare = await run([...generate, "--json"]);
    expect(asked.code).toBe(0);
    expect(asked.stdout).toBe(bare.stdout);
    expect(asked.stderr).toContain("device: cpu, because it was asked for");
    expect(bare.stderr).not.toContain("device:");
  });

  it("says nothing with --quiet", async () => {
    const { stderr } = await run([...generate, "--device", "cpu", "--quiet"]);
    expect(stderr).toBe("");
  });
});

describe("--profile", () => {
  it.each([[[]], [["--device", "cpu"]]])(
    "is refused on the CPU with %j, before the model is opened",
    async (flags) => {
      const { code, stdout, stderr } = await run([...generate, "--profile", ...flags]);
      expect(code).toBe(2);
      expect(stdout).toBe("");
      expect(stderr).toContain("USAGE_PROFILE");
      expect(stderr).toContain("--device webgpu");
      expect(stderr).not.toContain("load model");
    },
  );
});
