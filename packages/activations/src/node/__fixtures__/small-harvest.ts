import type { ActivationModel } from "../../activation-model.ts";
import type { HarvestOptions } from "../harvest-options.ts";
import { readDocuments } from "../read-documents.ts";

/** A few hundred tokens of real text in shards of two contexts, for the test that kills it. */
export function smallHarvest(model: ActivationModel, text: string, out: string): HarvestOptions {
  return {
    model,
    documents: readDocuments([text]),
    site: "blocks.9.hook_resid_post",
    out,
    packing: { contextSize: 32 },
    mask: { calibrationContexts: 4 },
    split: { heldOut: 0.3 },
    batchSize: 2,
    shardTokens: 64,
    maximumTokens: 420,
  };
}
