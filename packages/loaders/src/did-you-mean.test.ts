import { expect, it } from "vitest";
import { didYouMean } from "./did-you-mean.ts";

const known = [
  "model.layers.0.mlp.up_proj.weight",
  "model.layers.10.mlp.up_proj.weight",
  "lm_head.weight",
  "blocks.5.hook_resid_post",
];

it.each([
  ["model.layer.0.mlp.up_proj.weight", known[0]],
  ["model.layers.01.mlp.up_proj.weight", known[0]],
  ["lm_haed.weight", known[2]],
  ["LM_HEAD.weight", known[2]],
  ["blocks.5.resid_post", known[3]],
  ["blocks.5.hook_resid_post", known[3]],
])("%s is meant to be %s", (given, expected) => {
  expect(didYouMean(given, known)).toBe(expected);
});

it("says nothing where nothing is near", () => {
  expect(didYouMean("transformer.h.0.attn.c_attn", known)).toBeNull();
  expect(didYouMean("x", [])).toBeNull();
  expect(didYouMean("", known)).toBeNull();
});
