import { describe, expect, it } from "vitest";
import { parseConfig } from "./parse-config.ts";
import { blockSite, blockSites, SiteTable } from "./sites.ts";

const config = parseConfig({
  model_type: "llama",
  vocab_size: 50,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 16,
});
const table = new SiteTable(config);

describe("SiteTable", () => {
  it("lists every site once, in forward order", () => {
    const names = table.sites.map((site) => site.name);
    // Of all sites of blocks a Llama lacks the two of each of q_norm, k_norm, ln1_post and ln2_post.
    expect(names).toHaveLength(4 + 3 * (blockSites.length - 8));
    expect(new Set(names).size).toBe(names.length);
    expect(names[0]).toBe("hook_embed");
    expect(names.at(-1)).toBe("logits");
    expect(names.indexOf("blocks.1.hook_resid_pre")).toBe(
      names.indexOf("blocks.0.hook_resid_post") + 1,
    );
  });

  it("knows axes and widths", () => {
    expect(table.site("blocks.2.hook_resid_post")).toEqual({
      name: "blocks.2.hook_resid_post",
      layer: 2,
      shape: ["batch", "pos", "d_model"],
      width: 24,
    });
    expect(table.site("blocks.0.attn.hook_z")).toMatchObject({
      shape: ["batch", "pos", "head_index", "d_head"],
      width: 24,
    });
    expect(table.site("blocks.0.attn.hook_k").width).toBe(12);
    expect(table.site("blocks.0.mlp.hook_post").width).toBe(40);
    expect(table.site("blocks.0.ln1.hook_scale").width).toBe(1);
    expect(table.site("logits")).toMatchObject({ layer: null, width: 50 });
  });

  it.each([
    ["blocks.1.hook_resid_pots", "blocks.1.hook_resid_post"],
    ["blocks.1.attn.hook_Z", "blocks.1.attn.hook_z"],
    ["ln_final.hook_normalised", "ln_final.hook_normalized"],
  ])("answers %s with a near name", (given, near) => {
    expect(() => table.site(given)).toThrow(
      expect.objectContaining({
        code: "SITE_UNKNOWN",
        message: expect.stringContaining(`did you mean "${near}"`),
      }),
    );
  });

  it("says which blocks there are", () => {
    expect(() => table.site(blockSite(99, "hook_mlp_out"))).toThrow(
      expect.objectContaining({ code: "SITE_UNKNOWN", fix: expect.stringContaining("0 to 2") }),
    );
  });
});
