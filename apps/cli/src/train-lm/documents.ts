import { hashBytes } from "@latentkit/loaders";
import { documentList, type DocumentStream } from "@latentkit/training";
import { readDocuments } from "@latentkit/training/node";
import type { ProseDocument } from "@latentkit/worlds";
import { readFile } from "node:fs/promises";
import type { TrainLmConfig } from "./config.ts";

/** Documents for training, and others for the validation loss; null where there are none. */
export interface OpenDocuments {
  readonly training: DocumentStream;
  readonly held: DocumentStream | null;
}

/** One text of the prose in so many is for validation. */
const heldOutProse = 20;

/** Opens what the configuration names as its data. */
export async function openDocuments({ data, training }: TrainLmConfig): Promise<OpenDocuments> {
  if ("worlds" in data) return openWorlds(data.worlds);
  const { seed } = training;
  const held = await readDocuments(data.validation);
  return {
    training: documentList(await readDocuments(data.text), { seed }),
    held: held.length === 0 ? null : documentList(held, { seed }),
  };
}

/** Validation is of another seed: the same entities and rules, other documents. */
async function openWorlds({
  seed,
  stage,
  introduced,
  prose: path,
}: {
  readonly seed: number;
  readonly stage: "base" | "instruct";
  readonly introduced: boolean;
  readonly prose?: string | undefined;
}): Promise<OpenDocuments> {
  // Only here: the generators' word lists need not be loaded for text of one's own.
  const { parseProse, tinyMixture } = await import("@latentkit/worlds");
  const bytes = path === undefined ? null : await readFile(path);
  const documents = bytes === null ? [] : parseProse(bytes.toString("utf8"));
  const stream = (streamSeed: number, held: boolean): DocumentStream => {
    const chosen = documents.filter((_, index) => (index % heldOutProse === 0) === held);
    const prose: { prose?: readonly ProseDocument[] } =
      chosen.length === 0 ? {} : { prose: chosen };
    const mixture = tinyMixture({
      seed: streamSeed,
      stage,
      introduced: introduced && !held,
      ...prose,
    });
    return {
      identity: {
        worlds: streamSeed,
        stage,
        introduced,
        prose: bytes === null ? null : hashBytes(Uint8Array.from(bytes)),
      },
      next: () => mixture.next(),
      state: () => mixture.state(),
      restore: (state) => mixture.restore(state),
    };
  };
  return { training: stream(seed, false), held: stream(heldOutSeed(seed), true) };
}

/** A seed that no training run has: those count up from 0. */
function heldOutSeed(seed: number): number {
  return 0x7fff_ffff - seed;
}
