import { MismatchError } from "@latentkit/core";
import type { BuildAtlasOptions } from "./options.ts";

/** Throws unless model, SAE and activations belong together: each pair computes happily with the wrong partner. */
export function checkInputs({ model, sae, store }: BuildAtlasOptions): void {
  const { manifest } = store;
  if (sae.config.dIn !== store.dIn) {
    throw new MismatchError({
      code: "ATLAS_WIDTH",
      message: `the SAE reads activations of width ${sae.config.dIn}, those of ${manifest.site} are ${store.dIn} wide`,
      fix: "give the SAE and the activations of one site",
      where: store.name,
    });
  }
  const site = sae.config.metadata.hookName;
  if (site !== undefined && site !== manifest.site) {
    throw new MismatchError({
      code: "ATLAS_SITE",
      message: `the SAE was trained at ${site}, the activations are of ${manifest.site}`,
      fix: `harvest ${site}, or give the SAE of ${manifest.site}`,
      where: store.name,
    });
  }
  const hashes = [manifest.model.weightsHash, sae.config.metadata.weightsHash].filter(
    (hash) => hash !== undefined,
  );
  const own = model.identity().weightsHash;
  if (hashes.some((hash) => hash !== own)) {
    throw new MismatchError({
      code: "ATLAS_MODEL",
      message: `model ${model.name} has weights ${own.slice(0, 12)}, the activations are of ${manifest.model.weightsHash.slice(0, 12)}, the SAE of ${sae.config.metadata.weightsHash?.slice(0, 12) ?? "unknown weights"}`,
      fix: "use the model that the activations and the SAE were made with",
      where: store.name,
    });
  }
  model.site(manifest.site);
}
