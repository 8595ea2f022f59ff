// A cache that SAELens wrote, measured as it is.
import { openSaeLensCache } from "@latentkit/activations/node";
import { Random } from "@latentkit/core";
import { evaluateSae, Sae } from "@latentkit/sae";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const folder = fileURLToPath(
  new URL("../../packages/activations/src/node/__fixtures__/saelens-cache/runner", import.meta.url),
);

it("evaluateSae reads a cache batch by batch as it reads the same rows at once", async () => {
  using device = new Device(createReferenceBackend());
  const cache = await openSaeLensCache(folder);
  const [dIn, dSae, random] = [cache.dIn, 40, new Random(2)];
  const draw = (length: number) => random.fillNormal(new Float32Array(length), 0.3);
  using sae = Sae.fromWeights(
    device,
    { architecture: "topk", dIn, dSae, k: 6 },
    {
      encoderRows: draw(dSae * dIn),
      decoder: draw(dSae * dIn),
      encoderBias: draw(dSae),
      decoderBias: draw(dIn),
      threshold: null,
    },
  );
  const pieces: number[] = [];
  for await (const { activations } of cache.rows()) pieces.push(...activations);
  const found = await evaluateSae(sae, cache.rows());
  const expected = await evaluateSae(sae, [{ activations: Float32Array.from(pieces) }]);
  expect(found.tokens).toBe(36);
  expect(found.fvu).toBeCloseTo(expected.fvu, 6);
  expect(found.l0).toBe(expected.l0);
});
