import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { heldOutRows, shardBatches } from "@latentkit/activations";
import type { ActivationStore } from "@latentkit/activations";
import { harvest, openActivations } from "@latentkit/activations/node";
import { MismatchError } from "@latentkit/core";
import type { OnProgress } from "@latentkit/core";
import { writeFileAtomic } from "@latentkit/loaders/node";
import { blockSite } from "@latentkit/models";
import type { LanguageModel } from "@latentkit/models";
import { atlasFigures, renderAtlas } from "@latentkit/report";
import { evaluateSae, recipe, spliceLoss, storeContexts } from "@latentkit/sae";
import type { Sae, TrainingHistory } from "@latentkit/sae";
import { loadHistory, loadSae, saveSae, trainSae } from "@latentkit/sae/node";
import { buildAtlas } from "@latentkit/taxonomy";
import type { AtlasResult } from "@latentkit/taxonomy";
import packageJson from "../../package.json" with { type: "json" };
import type { AtlasOptions } from "../commands/atlas.ts";
import { openModel } from "../open-model.ts";
import { runStage } from "../stage.ts";
import type { Terminal } from "../terminal.ts";
import { type AtlasInputs, resolveInputs } from "./inputs.ts";

/** Memory for the training activations that are mixed with each other: the more documents a batch mixes, the calmer training is. */
const mixedBytes = 2 ** 31;

/** Held-out activations on which training is followed: enough for densities of 0.1 to be within 0.3 points. */
const followedRows = 20_000;

/** An SAE and, if it is known, how it was trained. */
interface SaeWithHistory {
  readonly sae: Sae;
  readonly history: TrainingHistory | null;
}

/**
 * The whole path from a model and text to a report. Each stage leaves its result in `options.out` and is resumed or skipped when
 * the same command runs again.
 *
 * @returns the result, and the path of the report
 */
export async function runAtlas(
  argument: string,
  options: AtlasOptions,
  terminal: Terminal,
): Promise<{ result: AtlasResult; report: string }> {
  const { out, quiet, seed } = options;
  const inputs = resolveInputs(argument, options, terminal);
  const { signal } = terminal;
  const stage = <T>(
    title: string,
    run: (onProgress: OnProgress) => Promise<T>,
    summary?: (value: T) => string,
  ): Promise<T> =>
    runStage(terminal, { title, quiet, ...(summary === undefined ? {} : { summary }) }, run);

  using open = await openModel(argument, terminal, options);
  const { model, device } = open;
  await mkdir(out, { recursive: true });

  const loaded = inputs.sae === "train" ? null : await loadSae(inputs.sae, { device, signal });
  const site = options.site ?? loaded?.config.metadata.hookName ?? defaultSite(model);
  if (loaded !== null) checkSaeFits(loaded, model, site);
  const store = await stage(
    "harvest",
    (onProgress) => harvestSite(model, site, options, inputs, signal, onProgress),
    describeStore,
  );

  const { sae, history } = await (loaded === null
    ? stage(
        "train SAE",
        (onProgress) => trainOnStore(model, store, options, signal, onProgress),
        describeSae,
      )
    : loadHistory(inputs.sae).then((known): SaeWithHistory => ({ sae: loaded, history: known })));
  using _sae = sae;

  const metrics = await stage(
    "evaluate SAE",
    (onProgress) => evaluateSae(sae, store, { seed, signal, onProgress }),
    (measured) => `L0 ${measured.l0.toFixed(1)}, FVU ${measured.fvu.toFixed(3)}`,
  );
  const splice = await stage(
    "splice into model",
    async (onProgress) => {
      const contexts = await storeContexts(store, { limit: options.spliceContexts, signal });
      return spliceLoss(model, sae, contexts, {
        site,
        mask: store.manifest.mask,
        batchSize: options.batch,
        seed,
        signal,
        onProgress,
      });
    },
    (measured) => `delta LM loss ${measured.delta.toFixed(4)} nats`,
  );
  const result = await stage(
    "chart latents",
    (onProgress) =>
      buildAtlas({
        model,
        sae,
        store,
        history,
        metrics,
        splice,
        seed,
        corpusName: inputs.corpusName,
        command: describeCommand(argument, options),
        versions: { latentkit: packageJson.version, node: process.version },
        signal,
        onProgress,
      }),
    (atlas) => `${atlas.density.dense} dense latents`,
  );
  const report = join(out, "report.html");
  await writeFileAtomic(join(out, "result.json"), `${JSON.stringify(result, null, 2)}\n`);
  await writeFileAtomic(report, renderAtlas(result));
  await mkdir(join(out, "figures"), { recursive: true });
  for (const { name, svg } of atlasFigures(result))
    await writeFileAtomic(join(out, "figures", name), svg);
  return { result, report };
}

/** The residual stream a third of the way up: `blocks.9.hook_resid_post` of 30 layers. */
function defaultSite(model: LanguageModel): string {
  return blockSite(Math.max(0, Math.floor(model.config.layers / 3) - 1), "hook_resid_post");
}

/** Shards of the site in `out/activations`, harvested as far as they are not there yet. */
async function harvestSite(
  model: LanguageModel,
  site: string,
  options: AtlasOptions,
  inputs: AtlasInputs,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<ActivationStore> {
  const folder = join(options.out, "activations");
  await harvest({
    model,
    documents: inputs.documents(model.tokenizer, signal),
    site,
    out: folder,
    packing: { contextSize: Math.min(options.context, model.config.contextSize) },
    batchSize: options.batch,
    split: { heldOut: inputs.heldOut, seed: options.seed },
    maximumTokens: options.maxTokens ?? null,
    signal,
    onProgress,
  });
  return openActivations(folder);
}

/** Trains on the store's training documents, with checkpoints in `out/training`; saves to `out/sae`. */
async function trainOnStore(
  model: LanguageModel,
  store: ActivationStore,
  options: AtlasOptions,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<SaeWithHistory> {
  const { seed, presentations, sparsity, k } = options;
  const { name, weightsHash } = model.identity();
  const { packing, site } = store.manifest;
  const config = recipe(options.recipe, {
    dSae: options.width ?? 8 * store.dIn,
    seed,
    k,
    ...(presentations === undefined ? {} : { tokens: presentations }),
    ...(sparsity === undefined ? {} : { sparsity }),
  });
  const trained = await trainSae({
    device: model.device,
    config,
    batches: shardBatches(store, { split: "train", seed, bufferBytes: mixedBytes }),
    heldOut: await heldOutRows(store, followedRows, { signal }),
    metadata: {
      modelName: name,
      hookName: site,
      weightsHash,
      contextSize: packing.contextSize,
      prependBos: packing.prependBos,
    },
    checkpointDir: join(options.out, "training"),
    signal,
    onProgress,
  });
  await saveSae(trained.sae, join(options.out, "sae"), { history: trained.history });
  return trained;
}

/** An SAE of another model or site would compute without complaint and mean nothing. */
function checkSaeFits(sae: Sae, model: LanguageModel, site: string): void {
  const { hookName, weightsHash } = sae.config.metadata;
  const { width } = model.site(site);
  const complaint =
    sae.config.dIn !== width
      ? `the SAE reads activations of width ${sae.config.dIn}, but ${site} is ${width} wide`
      : hookName !== undefined && hookName !== site
        ? `the SAE was trained at ${hookName}, not at ${site}`
        : weightsHash !== undefined && weightsHash !== model.identity().weightsHash
          ? "the SAE was trained on a model of other weights"
          : null;
  if (complaint === null) return;
  throw new MismatchError({
    code: "SAE_SITE",
    message: complaint,
    fix: "give the model and site that the SAE was trained on",
    where: "--sae",
  });
}

/** The command without folders of this machine, so that results can be compared and published. */
function describeCommand(argument: string, options: AtlasOptions): string {
  const flags = Object.entries(options)
    .filter(
      ([name, value]) =>
        !["json", "quiet", "text", "out", "sae", "serve", "port"].includes(name) &&
        value !== undefined,
    )
    .map(
      ([name, value]) =>
        `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} ${String(value)}`,
    );
  const { sae, text } = options;
  const named = [
    ...(sae === undefined ? [] : [`--sae ${basename(sae)}`]),
    ...(text === undefined ? [] : [`--text ${text.map((path) => basename(path)).join(" ")}`]),
  ];
  return `latentkit atlas ${[basename(argument), ...named, ...flags].join(" ")} --out DIR`;
}

function describeStore({ manifest: { counts, documents } }: ActivationStore): string {
  return `${counts.tokens.toLocaleString("en")} tokens of ${documents.count.toLocaleString("en")} documents`;
}

function describeSae({ sae, history }: SaeWithHistory): string {
  const seen =
    history === null ? "" : `, ${history.presentations.toLocaleString("en")} presentations`;
  return `${sae.config.architecture}, ${sae.config.dSae.toLocaleString("en")} latents${seen}`;
}
