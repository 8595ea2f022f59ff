import { randomDocuments } from "../../__fixtures__/documents.ts";
import { fakeModel } from "../../__fixtures__/fake-model.ts";
import type { HarvestOptions } from "../harvest-options.ts";

/** A harvest of the fake model into `out`: about 60 documents, shards of 8 contexts. */
export function fakeHarvest(out: string, changes: Partial<HarvestOptions> & { delay?: number } = {}): HarvestOptions & {
  model: ReturnType<typeof fakeModel>;
} {
  const { delay = 0, ...options } = changes;
  return {
    documents: randomDocuments(60),
    site: "blocks.0.hook_resid_post",
    out,
    packing: { contextSize: 16, minimumTokens: 4 },
    mask: { calibrationContexts: 10 },
    split: { heldOut: 0.25 },
    batchSize: 4,
    shardTokens: 128,
    ...options,
    model: fakeModel({ delay }),
  };
}
