import type { TextDocument } from "@latentkit/activations";
import { readDocuments } from "@latentkit/activations/node";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import { loadModel } from "@latentkit/models";
import { alternate, rateRow } from "./alternate.ts";
import { benchThreads, rateUnit } from "./clock.ts";
import { liveSizes, trainFromText } from "./live-training.ts";
import { runPeer } from "./peer.ts";
import { realModel } from "./real-model.ts";
import { realText } from "./real-text.ts";
import type { Bench, BenchRow } from "./rows.ts";
import { markedDevice, small } from "./size.ts";

/** A run takes minutes, over which slow spells of the machine even out. */
const rounds = 1;

/** See {@link fromText}; one SAE. */
export const saeEndToEndBench: Bench = {
  name: "sae-end-to-end",
  run: () => fromText("sae-end-to-end", small ? [8] : [64]),
};

/** See {@link fromText}; four SAEs that share the stream. */
export const saeManyBench: Bench = {
  name: "sae-many",
  run: () => fromText("sae-many", small ? [4, 8, 12, 16] : [16, 32, 64, 128]),
};

/**
 * Presentations a second to each SAE, from text and the loaded real model to trained TopK SAEs, in memory. Peer: SAELens with
 * TransformerLens, `LanguageModelSAETrainingRunner` for one SAE and `MultiSAETrainingRunner` for more. Both mix as many activations at a time,
 * and estimate the input's scale from as many before they train.
 */
async function* fromText(bench: string, ks: readonly number[]): AsyncGenerator<BenchRow> {
  const [path, text] = [realModel(bench), realText(bench)];
  if (path === null || text === null) return;
  using device = await openCpuDevice({ threads: benchThreads });
  const checkpoint = await openCheckpoint(path);
  using model = await loadModel(checkpoint, { device });
  await checkpoint.close();
  const documents: TextDocument[] = [];
  for await (const document of readDocuments([text])) documents.push(document);
  const sizes = liveSizes;
  const { ours, peers } = await alternate(
    rounds,
    () => trainFromText(model, documents, sizes, ks),
    [
      () =>
        runPeer("sae_live.py", {
          gguf: path,
          text,
          ks: ks.join(","),
          layer: sizes.layer,
          "d-sae": sizes.dSae,
          batch: sizes.batch,
          tokens: sizes.tokens,
          "scale-tokens": sizes.scaleTokens,
          context: sizes.context,
          "buffer-tokens": sizes.bufferTokens,
        }),
    ],
  );
  yield rateRow(
    {
      bench,
      case: `${model.name}, layer ${sizes.layer}, ${ks.length} x topk, k ${ks.join(", ")}, F ${sizes.dSae}, batch ${sizes.batch}, ${sizes.tokens} presentations, f32`,
      unit: rateUnit("tokens"),
      device: markedDevice(`${device.info.matmul}, ${device.info.threads} threads`),
    },
    sizes.tokens,
    ours,
    peers[0],
  );
}
