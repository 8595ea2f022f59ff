import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { tinyMixture } from "./tiny-mixture.ts";

// Training runs of several days are resumed by the place in the stream alone, and published models name the seed of their text: a
// generator that writes otherwise than it did makes both of them lie. Who changes one on purpose changes the hash here, and trains
// anew what was trained on the old text.
test.each([
  ["base", { stage: "base" }, "dbe6d36d742bbb8a"],
  ["introduced base", { stage: "base", introduced: true }, "99504935e5ba4ee5"],
  ["instruct", { stage: "instruct" }, "d27b029986b95c71"],
] as const)("the text of the %s mixture is what it was", (_, options, expected) => {
  const stream = tinyMixture({ seed: 1, ...options });
  const hash = createHash("sha256");
  for (const { world } of stream.parts)
    for (const index of [0, 1, 999, 77_777, 1_000_000])
      hash.update(`${world.document(index).text}\0`);
  for (let count = 0; count < 300; count++) hash.update(`${stream.next().text}\0`);
  expect(hash.digest("hex").slice(0, 16)).toBe(expected);
});
