import { LatentkitError } from "@latentkit/core";
import { expect, it } from "vitest";
import { gemmaScopePath } from "./gemma-scope-path.ts";

const place = { release: "tiny", site: "res", layer: 3, width: 1536, l0: 41.2 } as const;

it("names folders as Gemma Scope does", () => {
  expect(gemmaScopePath(place)).toBe("tiny-res/layer_3/width_1.5k/average_l0_41/params.npz");
  // A canonical SAE of the published release.
  expect(
    gemmaScopePath({
      release: "gemma-scope-2b-pt",
      site: "res",
      layer: 12,
      width: 2 ** 14,
      l0: 82,
    }),
  ).toBe("gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82/params.npz");
  expect(gemmaScopePath({ ...place, site: "att", l0: 0.5 })).toMatch(/^tiny-att\/.*_l0_1\//u);
});

it.each([
  // Those that were published.
  [2 ** 12, "4k"],
  [2 ** 14, "16k"],
  [2 ** 15, "32k"],
  [2 ** 16, "65k"],
  [2 ** 17, "131k"],
  [2 ** 18, "262k"],
  [2 ** 19, "524k"],
  [2 ** 20, "1m"],
  // And others.
  [1, "1"],
  [999, "999"],
  [1000, "1k"],
  [1099, "1k"],
  [1100, "1.1k"],
  [4608, "4.6k"],
  [9999, "9.9k"],
  [10_500, "10k"],
  [999_999, "999k"],
  [1_500_000, "1.5m"],
])("width %i is %s", (width, name) => {
  expect(gemmaScopePath({ ...place, width })).toContain(`/width_${name}/`);
});

it.each([
  ["release", "../up"],
  ["release", ".."],
  ["release", "google/gemma-scope"],
  ["release", ""],
  ["site", "resid"],
  ["layer", -1],
  ["layer", 1.5],
  ["width", 0],
  ["width", 16.4],
  ["l0", Number.NaN],
  ["l0", Number.POSITIVE_INFINITY],
  ["l0", -1],
])("refuses %s %j", (field, value) => {
  let caught: unknown;
  try {
    gemmaScopePath({ ...place, [field]: value });
  } catch (error) {
    caught = error;
  }
  expect(LatentkitError.isInstance(caught) && caught.code).toBe("GEMMA_SCOPE_PLACE");
  expect(String(caught)).toContain(field);
});
