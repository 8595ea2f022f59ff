import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { canonicalOf, releasedSae } from "./releases.ts";

// Some of SAELens's list, and what became of all of it, by oracles/sae/releases.py.
const list = z
  .object({
    samples: z.array(
      z.object({ release: z.string(), id: z.string(), repo: z.string(), path: z.string() }),
    ),
    canonical: z.array(
      z.object({
        repo: z.string(),
        folder: z.string(),
        l0s: z.array(z.number()),
        chosen: z.number(),
      }),
    ),
    rules: z.object({
      releases: z.number(),
      ids: z.number(),
      canonicalIds: z.number(),
      canonicalAgree: z.number(),
    }),
  })
  .parse(
    JSON.parse(readFileSync(new URL("../__fixtures__/releases.json", import.meta.url), "utf8")),
  );

describe("names of SAELens's releases", () => {
  it.each(list.samples)("$release/$id", ({ release, id, repo, path }) => {
    const found = releasedSae(`${release}/${id}`);
    expect(found?.repo).toBe(repo);
    if (found?.canonical === true) expect(path.startsWith(`${found.path}/average_l0_`)).toBe(true);
    else expect(found?.path).toBe(path);
  });

  it("canonical SAEs are those with L0 nearest to 100, and of two as near the larger", () => {
    for (const { repo, folder, l0s, chosen } of list.canonical) {
      const files = l0s.map((l0) => `${folder}/average_l0_${l0}/params.npz`);
      const others = [`${folder}0/average_l0_100/params.npz`, `${folder}/average_l0_100/x`];
      const found = canonicalOf(repo, folder, [...others, ...files, "README.md"]);
      expect(found).toBe(`${folder}/average_l0_${chosen}`);
    }
    const elsewhere = ["layer_2/width_16k/average_l0_9/params.npz"];
    expect(canonicalOf("google/x", "layer_1/width_16k", elsewhere)).toBeNull();
    const { canonicalIds, canonicalAgree } = list.rules;
    expect(canonicalAgree).toBe(canonicalIds);
  });

  it("suggest what was meant, and leave other text alone", () => {
    expect(() => releasedSae("gemma-scope-2b-pt-ress/layer_1")).toThrow(
      expect.objectContaining({
        code: "SAE_RELEASE_UNKNOWN",
        message: expect.stringContaining('did you mean "gemma-scope-2b-pt-res"?') as string,
      }),
    );
    expect(() => releasedSae("llama_scope_lxr_9x/l0r_9x")).toThrow(
      /did you mean "llama_scope_lxr_8x"/u,
    );
    expect(() => releasedSae("gemma-scope-2-4b-pt-resid")).toThrow(/gemma-scope-2-4b-pt-res/u);
    for (const text of ["google/gemma-scope-2b-pt-res/layer_1", "./gemma", "tiny", "", "org/name"])
      expect(releasedSae(text)).toBeNull();
  });
});
