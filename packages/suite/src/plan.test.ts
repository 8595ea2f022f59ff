import { describe, expect, it } from "vitest";
import { planSuite } from "./plan.ts";
import { parseSuite } from "./suite.ts";
import { smallSuite } from "./testing/small-suite.ts";

const model = { layers: 2, contextSize: 16 };

describe("the plan", () => {
  it("has every job once, after those that it depends on", () => {
    const { saes, jobs } = planSuite(smallSuite(), model);
    // Three sites of two layers with two JumpReLU SAEs each, and one TopK.
    expect(saes).toHaveLength(3 * 2 * 2 + 1);
    expect(jobs).toHaveLength(3 * 2 + 3 * saes.length);
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(jobs.length);
    const before = new Set<string>();
    for (const { id, dependsOn } of jobs) {
      for (const needed of dependsOn) expect(before, `${id} needs ${needed}`).toContain(needed);
      before.add(id);
    }
    const ofKind = (kind: string) => jobs.filter((job) => job.kind === kind);
    expect(ofKind("harvest")).toHaveLength(6);
    expect(ofKind("train").every(({ dependsOn }) => dependsOn.length === 1)).toBe(true);
    expect(ofKind("evaluate").every(({ dependsOn }) => dependsOn.length === 2)).toBe(true);
    const [topk, ...others] = saes.filter(({ architecture }) => architecture === "topk");
    expect(others).toEqual([]);
    expect(topk).toMatchObject({ site: "res", layer: 1, k: 3, sparsity: null });
    expect(topk?.hookName).toBe("blocks.1.hook_resid_post");
    expect(
      new Set(saes.filter(({ layer }) => layer === 0).map(({ hookName }) => hookName)),
    ).toEqual(
      new Set(["blocks.0.hook_resid_post", "blocks.0.hook_mlp_out", "blocks.0.attn.hook_z"]),
    );
  });

  it("harvests only what an SAE reads", () => {
    const entries = [
      { recipe: "topk", width: 8, k: [2, 4], presentations: 64, sites: ["mlp"], layers: [1] },
    ];
    const { jobs } = planSuite(smallSuite({ entries }), model);
    expect(jobs.filter(({ kind }) => kind === "harvest").map(({ id }) => id)).toEqual([
      "mlp/layer_1/harvest",
    ]);
    expect(jobs).toHaveLength(7);
  });

  it("keeps to the layers that are named", () => {
    const { saes } = planSuite(
      smallSuite({ layers: [1], sites: ["att"], entries: smallSuite().entries.slice(0, 1) }),
      model,
    );
    expect(saes.map(({ layer, site }) => `${site}${layer}`)).toEqual(["att1", "att1"]);
  });

  it("refuses what the model does not have, and the same SAE twice", () => {
    expect(() => planSuite(smallSuite({ layers: [0, 1, 2] }), model)).toThrow(
      expect.objectContaining({
        code: "SUITE_LAYER",
        message: "the suite names layer 2, but the model's layers are 0 to 1",
      }),
    );
    expect(() => planSuite(smallSuite({ contextSize: 17 }), model)).toThrow(
      expect.objectContaining({ code: "SUITE_CONTEXT" }),
    );
    const [entry] = smallSuite().entries;
    expect(() => planSuite(smallSuite({ entries: [entry, entry] }), model)).toThrow(
      expect.objectContaining({ code: "SUITE_DUPLICATE" }),
    );
    expect(
      planSuite(smallSuite({ entries: [entry, { ...entry, seed: 1 }] }), model).saes,
    ).toHaveLength(24);
  });
});

describe("a suite file", () => {
  const good = {
    schemaVersion: 1,
    name: "tiny",
    text: { worlds: { seed: 11, stage: "base", tokens: 1000 } },
    sites: ["res"],
    entries: [{ recipe: "short-run", width: 16, sparsity: [0.001], presentations: 100 }],
  };
  const entry = good.entries[0];

  it("has defaults", () => {
    expect(parseSuite(good)).toMatchObject({
      contextSize: 128,
      layers: "all",
      heldOut: 0.1,
      keepActivations: false,
      entries: [{ seed: 0 }],
    });
  });

  it.each([
    [{ ...good, schemaVersion: 2 }, /schemaVersion/],
    [{ ...good, name: "../up" }, /name: expected letters/],
    [{ ...good, widht: 3 }, /widht/],
    [{ ...good, sites: ["resid"] }, /sites\.0/],
    [{ ...good, sites: ["res", "res"] }, /sites: each may be named once/],
    [{ ...good, heldOut: 0 }, /heldOut/],
    [{ ...good, text: { worlds: { seed: 1, stage: "base" } } }, /text/],
    [{ ...good, entries: [] }, /entries/],
    [
      { ...good, entries: [{ ...entry, sparsity: undefined }] },
      /entries\.0\.sparsity: the recipe "short-run" needs a list of sparsity/,
    ],
    [
      { ...good, entries: [{ ...entry, recipe: "topk" }] },
      /entries\.0\.k: the recipe "topk" needs a list of k; entries\.0\.sparsity: the recipe "topk" takes k/,
    ],
    [
      { ...good, entries: [{ recipe: "topk", width: 4, k: [2, 5], presentations: 1 }] },
      /entries\.0\.k: 5 is more than the 4 latents/,
    ],
    [
      { ...good, entries: [{ ...entry, sites: ["att"] }] },
      /entries\.0\.sites: att is not one of the suite's sites/,
    ],
    [
      { ...good, layers: [0, 1], entries: [{ ...entry, layers: [2] }] },
      /entries\.0\.layers: 2 is not one of the suite's layers/,
    ],
    [null, /\(whole\)/],
  ])("says what is wrong, case %#", (json, message) => {
    expect(() => parseSuite(json, "suite.json")).toThrow(
      expect.objectContaining({
        code: "SUITE_INVALID",
        where: "suite.json",
        message: expect.stringMatching(message),
      }),
    );
  });
});
