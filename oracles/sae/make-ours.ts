/**
 * Writes the checkpoints that SAELens is shown, and that a test compares today's bytes with:
 *
 *     npx tsx --conditions=@latentkit/source oracles/sae/make-ours.ts
 *
 * Then `python oracles/sae/check_saelens_reads.py`, and `python oracles/npz/check_numpy_reads.py` for params.npz.
 */
import { writeFileAtomic } from "@latentkit/loaders/node";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { fileURLToPath } from "node:url";
import { gemmaScopeNpz } from "../../packages/sae/src/formats/gemma-scope.ts";
import { saveSae } from "../../packages/sae/src/node/save-sae.ts";
import { exampleExport, exportedKinds } from "../../packages/sae/src/testing/example-export.ts";
import { exampleSae } from "../../packages/sae/src/testing/example-sae.ts";

using device = new Device(createReferenceBackend());
for (const architecture of ["jumprelu", "topk"] as const) {
  using sae = exampleSae(device, architecture);
  const densities = Float32Array.from({ length: sae.config.dSae }, (_, latent) => latent / 64);
  await saveSae(
    sae,
    fileURLToPath(
      new URL(`../../packages/sae/src/__fixtures__/ours/${architecture}`, import.meta.url),
    ),
    { densities },
  );
}
for (const kind of exportedKinds) {
  using sae = exampleExport(device, kind);
  await saveSae(
    sae,
    fileURLToPath(
      new URL(`../../packages/sae/src/__fixtures__/ours/from-${kind}`, import.meta.url),
    ),
    { densities: new Float32Array(sae.config.dSae) },
  );
}
{
  using sae = exampleSae(device, "jumprelu");
  const densities = new Float32Array(sae.config.dSae);
  await saveSae(
    sae,
    fileURLToPath(
      new URL("../../packages/sae/src/__fixtures__/ours/jumprelu-f16", import.meta.url),
    ),
    { densities, dtype: "f16" },
  );
  await writeFileAtomic(
    fileURLToPath(new URL("../../packages/sae/src/__fixtures__/ours/params.npz", import.meta.url)),
    await gemmaScopeNpz(sae),
  );
}
