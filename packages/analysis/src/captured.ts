import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { Tensor } from "@latentkit/tensor";

/** All layers of a model. */
export function layersOf(model: LanguageModel): number[] {
  return Array.from({ length: model.config.layers }, (_, layer) => layer);
}

/** A captured tensor. */
export function capturedAt(captured: ReadonlyMap<string, Tensor>, site: string): Tensor {
  const value = captured.get(site);
  if (value !== undefined) return value;
  throw new ConfigError({
    code: "ANALYSIS_NOT_CAPTURED",
    message: `the run did not pass ${site}; it captured ${[...captured.keys()].join(", ") || "nothing"}`,
    fix: "capture the site in the run whose values are analysed",
    where: site,
  });
}
