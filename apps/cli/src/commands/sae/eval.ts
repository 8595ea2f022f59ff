import { openActivations, readDocuments } from "@latentkit/activations/node";
import { ConfigError } from "@latentkit/core";
import { writeFileAtomic } from "@latentkit/loaders/node";
import type { LanguageModel } from "@latentkit/models";
import { renderSaeEvaluation } from "@latentkit/report";
import {
  evaluateInModel,
  packedContexts,
  type Sae,
  type SaeEvaluation,
  storeContexts,
} from "@latentkit/sae";
import { loadSae } from "@latentkit/sae/node";
import type { Command } from "commander";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { modelArgument, openModel } from "../../open-model.ts";
import {
  commonSchema,
  count,
  deviceSchema,
  parseOptions,
  withCommonOptions,
  deviceFlag,
} from "../../options.ts";
import { printResult, type Table } from "../../output.ts";
import { runStage } from "../../stage.ts";
import type { Terminal } from "../../terminal.ts";

const schema = z.object({
  ...commonSchema,
  ...deviceSchema,
  model: z.string(),
  text: z.array(z.string()).min(1).optional(),
  shards: z.string().optional(),
  split: z.enum(["train", "held-out"]).default("held-out"),
  site: z.string().optional(),
  from: z.string().optional(),
  context: count.optional(),
  batch: count.default(8),
  maxTokens: count.default(100_000),
  documentTokens: count.optional(),
  spliceContexts: count.default(256),
  uniformity: z.coerce.number().int().nonnegative().default(1),
  resamples: count.default(1000),
  out: z.string().optional(),
});

type Options = z.infer<typeof schema>;

/** Adds `sae eval`. */
export function addSaeEval(sae: Command, terminal: Terminal): void {
  withCommonOptions(
    sae
      .command("eval")
      .description(
        "Measure an SAE in its model: sparsity, reconstruction, the language model's loss with it, with intervals over documents.",
      )
      .argument("<sae>", "SAE folder or file, in any format that is read")
      .requiredOption("--model <model>", modelArgument)
      .option("--text <files...>", ".txt, .jsonl (fields id and text, or messages), either gzipped")
      .option("--shards <dir>", "a harvest of this model and site, in place of --text")
      .option("--split <name>", "of the shards: train or held-out (default: held-out)")
      .option("--site <name>", "site to reconstruct; by default the one that the SAE names")
      .option("--from <name>", "site that a transcoder reads; by default the one that it names")
      .option("--context <n>", "tokens in a context of --text (default: the SAE's, or 128)")
      .option("--batch <n>", "contexts in one forward pass (default: 8)")
      .option("--max-tokens <n>", "of --text at most (default: 100,000)")
      .option("--document-tokens <n>", "of each document of --text at most, so that many are seen")
      .option("--splice-contexts <n>", "contexts to splice into, at most (default: 256)")
      .option("--uniformity <n>", "tokens of each of these with a backward pass (default: 1)")
      .option("--resamples <n>", "of the bootstrap over documents (default: 1000)")
      .option("--out <dir>", "folder for report.html and result.json"),
    deviceFlag,
  ).action(async (path: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    checkSource(options);
    using open = await openModel(options.model, terminal, options);
    const { signal } = terminal;
    using loaded = await loadSae(path, { device: open.device, signal });
    const result = await runStage(
      terminal,
      { title: "evaluate", quiet: options.quiet },
      async (onProgress) => {
        const source = await sourceOf(open.model, loaded, options, signal);
        return evaluateInModel(open.model, loaded, source.contexts, {
          ...source,
          split: options.split,
          site: options.site ?? source.store?.manifest.site,
          from: options.from,
          spliceContexts: options.spliceContexts,
          uniformityTokens: options.uniformity,
          batchSize: options.batch,
          resamples: options.resamples,
          seed: options.seed,
          signal,
          onProgress,
        });
      },
    );
    if (options.out !== undefined) {
      await mkdir(options.out, { recursive: true });
      await writeFileAtomic(join(options.out, "report.html"), renderSaeEvaluation(result));
      await writeFileAtomic(
        join(options.out, "result.json"),
        `${JSON.stringify(result, null, 2)}\n`,
      );
    }
    printResult(terminal, options.json, result, () => tableOf(result, options.out));
  });
}

function checkSource({ text, shards }: Options): void {
  if ((text === undefined) !== (shards === undefined)) return;
  throw new ConfigError({
    code: "USAGE_OPTION",
    message:
      text === undefined
        ? "neither --text nor --shards was given"
        : "--text and --shards were both given",
    fix: "give text files with --text, or the folder of a harvest with --shards",
    where: "--text",
  });
}

async function sourceOf(
  model: LanguageModel,
  sae: Sae,
  { text, shards, split, context, maxTokens, documentTokens }: Options,
  signal: AbortSignal | undefined,
) {
  if (shards !== undefined) {
    const store = await openActivations(shards);
    return { store, contexts: await storeContexts(store, { split, signal }) };
  }
  const { contextSize, prependBos = false } = sae.config.metadata;
  const contexts = await packedContexts(model, readDocuments(text ?? [], { signal }), {
    packing: {
      contextSize: context ?? contextSize ?? 128,
      prependBos,
      documentTokens: documentTokens ?? null,
    },
    maximumTokens: maxTokens,
    signal,
  });
  return { contexts };
}

function tableOf(result: SaeEvaluation, out: string | undefined): Table {
  const { metrics, splice, uniformity } = result;
  const figure = (value: number | null): string =>
    value === null || !Number.isFinite(value) ? "–" : String(Number(value.toPrecision(4)));
  const row = (
    name: string,
    value: number,
    interval: readonly [number, number] | null,
  ): readonly string[] => [
    name,
    figure(value),
    interval === null ? "" : `${figure(interval[0])} to ${figure(interval[1])}`,
  ];
  const { intervals } = splice;
  return {
    columns: ["figure", "value", "95%, over documents"],
    rows: [
      row("L0", metrics.l0, metrics.l0Interval),
      row("FVU", metrics.fvu, metrics.fvuInterval),
      row("FVU, legacy (mean of ratios)", metrics.fvuLegacy, metrics.fvuLegacyInterval),
      row("cosine", metrics.cosine, metrics.cosineInterval),
      row("L2 ratio", metrics.l2Ratio, metrics.l2RatioInterval),
      row(
        "relative reconstruction bias",
        metrics.relativeReconstructionBias,
        metrics.relativeReconstructionBiasInterval,
      ),
      row("dead latents", metrics.deadFraction, null),
      row("high-frequency latents", metrics.denseFraction, metrics.denseFractionInterval),
      row("loss, nats", splice.cleanLoss, intervals.cleanLoss),
      row("loss with the SAE", splice.splicedLoss, intervals.splicedLoss),
      row("delta loss", splice.delta, intervals.delta),
      row("loss recovered, of zero ablation", splice.recovered, intervals.recovered),
      row(
        "loss recovered, of mean ablation",
        splice.recoveredFromMean,
        intervals.recoveredFromMean,
      ),
      row("KL to the original", splice.kl, intervals.kl),
      row("KL score, of zero ablation", splice.klScore, intervals.klScore),
      ...(uniformity === null
        ? []
        : [row("uniformity of importance", uniformity.uniformity, uniformity.interval)]),
    ],
    footer: `${metrics.tokens} unmasked tokens of ${metrics.documents} documents at ${result.site}${out === undefined ? "" : `; report.html and result.json in ${out}`}`,
  };
}
