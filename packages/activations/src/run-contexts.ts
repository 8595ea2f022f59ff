import { DeviceError } from "@latentkit/core";
import type { ActivationModel } from "./activation-model.ts";
import { contextGrid } from "./mask.ts";
import { rowNorms } from "./norms.ts";
import type { Context } from "./packing.ts";

/** A site to read, and the width of its activations. */
export interface SiteWidth {
  readonly site: string;
  readonly dIn: number;
}

/** A site's activations of a batch of contexts, padding included: rows `[contexts, width]`. */
export interface SiteActivations {
  /** `[contexts * width, dIn]`. */
  readonly activations: Float32Array;
  readonly norms: Float64Array;
}

/** What a batch of contexts gave. */
export interface ContextActivations {
  /** In the order of the sites that were asked for. */
  readonly sites: readonly SiteActivations[];
  readonly positions: Int32Array;
  readonly lengths: Int32Array;
  /** Tokens of the longest context: no row is computed after it. */
  readonly width: number;
}

/**
 * Runs one batch and reads the sites.
 *
 * @throws DeviceError `ACTIVATION_NOT_FINITE` naming document and position, since such a row would poison an SAE unseen
 */
export async function runContexts(
  model: ActivationModel,
  sites: readonly SiteWidth[],
  contexts: readonly Context[],
): Promise<ContextActivations> {
  const lengths = contexts.map((context) => context.length);
  const width = Math.max(...lengths);
  const tokens = contexts.map((context) => Array.from(context.tokens.subarray(0, width)));
  const names = sites.map(({ site }) => site);
  const logits = names.includes("logits") ? "all" : "none";
  const run = model.run(tokens, { capture: names, logits });
  const grid = contextGrid(lengths, width);
  const found: SiteActivations[] = [];
  try {
    for (const { site, dIn } of sites) {
      const captured = run.captured.get(site);
      if (captured === undefined) throw captureError(site, "nothing");
      const activations = await captured.floats();
      if (activations.length !== grid.positions.length * dIn)
        throw captureError(site, `${activations.length} numbers`);
      const norms = rowNorms(activations, dIn);
      for (let row = 0; row < norms.length; row++) {
        const position = grid.positions[row] ?? 0;
        if (position >= (grid.lengths[row] ?? 0) || Number.isFinite(norms[row])) continue;
        throw notFiniteError(site, position, contexts[Math.floor(row / width)]?.documentId);
      }
      found.push({ activations, norms });
    }
  } finally {
    run.dispose();
  }
  return { sites: found, ...grid, width };
}

function notFiniteError(site: string, position: number, document: string | undefined): DeviceError {
  return new DeviceError({
    code: "ACTIVATION_NOT_FINITE",
    message: `the activation at position ${position} of a context of document "${document}" is not finite`,
    fix: "check the weights, and whether the reference backend gives the same",
    where: site,
  });
}

function captureError(site: string, given: string): DeviceError {
  return new DeviceError({
    code: "ACTIVATION_CAPTURE",
    message: `the model's run gave ${given} for the site, not one vector for each token`,
    fix: "this is a fault in the model's implementation of the site; report it",
    where: site,
  });
}
