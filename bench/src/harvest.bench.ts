import { openCpuDevice } from "@latentkit/backend-cpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import { blockSite, type LanguageModel, loadModel } from "@latentkit/models";
import { alternate, rateRow } from "./alternate.ts";
import { benchThreads, clock, rateUnit } from "./clock.ts";
import { PeerSession } from "./peer-session.ts";
import { randomTokens } from "./random-tokens.ts";
import { realModel } from "./real-model.ts";
import type { Bench, BenchRow } from "./rows.ts";

/** Tokens of one run, whatever the context. */
const tokensOfRun = 1024;
/** How many layers run, of 30: the site is what leaves the last of them. */
const depths = [3, 10, 20, 30] as const;
/** The depth whose site (`blocks.9.hook_resid_post`) is also compared with `output_hidden_states`, which runs all layers. */
const usualDepth = 10;
const rounds = 3;

/** See {@link harvest}; contexts of 128. */
export const harvest128Bench: Bench = { name: "harvest-128", run: () => harvest(128) };
/** See {@link harvest}; contexts of 1024. */
export const harvest1024Bench: Bench = { name: "harvest-1024", run: () => harvest(1024) };

/**
 * Tokens a second of harvesting one site of the residual stream to the host, with everything after it left out. Peers: transformers
 * with a forward hook that stops the pass there, transformers with `output_hidden_states`, and TransformerLens's `run_with_cache` with
 * `names_filter` and `stop_at_layer`.
 */
async function* harvest(context: number): AsyncGenerator<BenchRow> {
  const path = realModel("harvest");
  if (path === null) return;
  using device = await openCpuDevice({ threads: benchThreads });
  const checkpoint = await openCheckpoint(path);
  using model = await loadModel(checkpoint, { device });
  await checkpoint.close();
  using session = PeerSession.open("harvest.py");
  const batch = tokensOfRun / context;
  for (const layers of depths) {
    const ask = (how: string) => async () =>
      (await session?.ask({ gguf: path, how, batch, context, layers })) ?? null;
    const run = () => harvestOnce(model, batch, context, layers);
    const ways = ["transformers", "transformer-lens"];
    if (layers === usualDepth) ways.push("hidden-states");
    // Each side's first run pays for allocation.
    await run();
    for (const how of ways) await ask(how)();
    const { ours, peers } = await alternate(rounds, run, ways.map(ask));
    for (const peer of session === null ? [null] : peers) {
      yield rateRow(
        {
          bench: "harvest",
          case: `${model.name}, ${batch} x ${context} tokens, f32, ${blockSite(layers - 1, "hook_resid_post")}, stop there`,
          unit: rateUnit("tokens"),
          device: `${device.info.matmul}, ${device.info.threads} threads`,
        },
        tokensOfRun,
        ours,
        peer,
      );
    }
  }
}

/** Seconds of one run, with the values on the host. */
async function harvestOnce(
  model: LanguageModel,
  batch: number,
  context: number,
  layers: number,
): Promise<number> {
  const tokens = randomTokens(batch, context, model.config.vocabulary);
  const site = blockSite(layers - 1, "hook_resid_post");
  const start = clock();
  using result = model.run(tokens, { capture: [site], logits: "none" });
  await result.captured.get(site)?.floats();
  return clock() - start;
}
