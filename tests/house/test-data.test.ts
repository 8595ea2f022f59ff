import { expect, it } from "vitest";
import { checkTestData } from "../../tools/test-data.mjs";

const used = new Set(["LATENTKIT_MODELS"]);
const here = import.meta.dirname;

it("an unset variable fails on a build server and is noted elsewhere", () => {
  expect(checkTestData({ CI: "true" }, used).failures).toEqual([
    expect.stringContaining("LATENTKIT_MODELS is not set"),
  ]);
  expect(checkTestData({}, used)).toEqual({
    failures: [],
    notes: [expect.stringContaining("LATENTKIT_MODELS is not set")],
  });
});

it("a variable that no test reads is not asked for", () => {
  expect(checkTestData({ CI: "true", LATENTKIT_MODELS: here }, used)).toEqual({
    failures: [],
    notes: [],
  });
});

it("a path that is relative or no folder always fails", () => {
  expect(checkTestData({ LATENTKIT_MODELS: "models" }, used).failures[0]).toContain(
    "relative path",
  );
  expect(checkTestData({ LATENTKIT_MODELS: import.meta.filename }, used).failures[0]).toContain(
    "not a folder",
  );
});
