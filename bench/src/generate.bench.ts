import { openCpuDevice } from "@latentkit/backend-cpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import { type LanguageModel, loadModel } from "@latentkit/models";
import { alternate, rateRow } from "./alternate.ts";
import { benchThreads, clock, rateUnit } from "./clock.ts";
import type { PeerRun } from "./peer.ts";
import { PeerSession } from "./peer-session.ts";
import { randomTokens } from "./random-tokens.ts";
import { realModel } from "./real-model.ts";
import type { Bench, BenchRow } from "./rows.ts";

const promptTokens = 32;
const newTokens = 32;
/** With 16-bit activations a single row is faster; products of 16 rows do not round them. */
const cases = [
  { batch: 1, activations: "f32" },
  { batch: 1, activations: "i16" },
  { batch: 16, activations: "f32" },
] as const;
const rounds = 3;

/**
 * New tokens a second of greedy generation with a KV cache, reading the prompts included. Peers: transformers on the weights as f32,
 * and for a single prompt llama.cpp on the same file.
 */
export const generateBench: Bench = {
  name: "generate",
  async *run(): AsyncGenerator<BenchRow> {
    const path = realModel("generate");
    if (path === null) return;
    using device = await openCpuDevice({ threads: benchThreads });
    using transformers = PeerSession.open("generate.py");
    using llama = PeerSession.open("generate_llama_cpp.py");
    for (const { batch, activations } of cases) {
      const checkpoint = await openCheckpoint(path);
      using model = await loadModel(checkpoint, { device, activations });
      await checkpoint.close();
      const prompts = randomTokens(batch, promptTokens, model.config.vocabulary);
      const asked = [transformers, ...(batch === 1 ? [llama] : [])];
      const peers = asked.map(
        (session) => () => ask(session, { gguf: path, prompts, new: newTokens }),
      );
      const run = () => generateOnce(model, prompts);
      // Each side's first run pays for allocation.
      await run();
      for (const peer of peers) await peer();
      const times = await alternate(rounds, run, peers);
      const found = times.peers.filter((peer) => peer !== null);
      for (const peer of found.length === 0 ? [null] : found) {
        yield rateRow(
          {
            bench: "generate",
            case: `${model.name}, ${batch} x ${promptTokens} tokens, ${newTokens} new ones each, greedy, weights as stored, activations ${activations}`,
            unit: rateUnit("tokens"),
            device: `${device.info.matmul}, ${device.info.threads} threads`,
          },
          batch * newTokens,
          times.ours,
          peer,
        );
      }
    }
  },
};

/** Null where the peer is not installed: its script then answers with no times. */
async function ask(
  session: PeerSession | null,
  question: Readonly<Record<string, unknown>>,
): Promise<PeerRun | null> {
  const run = (await session?.ask(question)) ?? null;
  return run === null || run.seconds.length === 0 ? null : run;
}

/** Seconds of one generation, the first token included. */
async function generateOnce(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
): Promise<number> {
  const start = clock();
  const made = model.generate({
    prompts: prompts.map((tokens) => ({ tokens })),
    maxTokens: newTokens,
    ignoreEos: true,
  });
  for await (const { token } of made) if (token < 0) return Number.NaN;
  return clock() - start;
}
