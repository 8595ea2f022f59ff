import { Random, throwIfAborted } from "@latentkit/core";
import { antipodality, cosineMatrix } from "../antipodality.ts";
import { antipodalityNull } from "../antipodality-null.ts";
import type { AtlasResult } from "../atlas-result.ts";
import { collectColumns, countFirings } from "../firing.ts";
import { classOrder, labellingOf } from "../labels.ts";
import { nullSpaceCut, nullSpaceShares } from "../null-space.ts";
import { pickRows, randomDirections, type Rows, sampleIndices } from "../vectors.ts";
import { baseRates, classEntry } from "./classes.ts";
import { checkInputs } from "./check-inputs.ts";
import { type DirectionVerdict, judgeDirections, openReadOut, readsOut } from "./directions.ts";
import { StoreFirings } from "./encode-store.ts";
import { latentEntry } from "./entries.ts";
import { densityBins, nullspaceBins, scoresByDensity } from "./histograms.ts";
import { metricRows } from "./metrics.ts";
import { type BuildAtlasOptions, parseSettings } from "./options.ts";
import { roundNumbers } from "./round-numbers.ts";

/** Streams of the atlas's seed, so that one sample does not depend on the size of another. */
const streams = { sparse: 101, random: 102 } as const;
const heatMapLatents = 50;

/**
 * Everything the atlas says of one SAE: densities over held-out tokens, antipodality with its null, the three class tests with their
 * false-positive rates, what dense latents promote and suppress, and where they fire. The same inputs and seed give the same JSON.
 *
 * @throws MismatchError `ATLAS_SITE`, `ATLAS_MODEL`, `ATLAS_WIDTH`, `ATLAS_NO_TOKENS`; ConfigError `ATLAS_SETTINGS`; AbortedError
 */
export async function buildAtlas(options: BuildAtlasOptions): Promise<AtlasResult> {
  const {
    model,
    sae,
    store,
    history,
    seed,
    signal,
    onProgress,
    split = "held-out",
    metrics = null,
    splice = null,
  } = options;
  const settings = parseSettings(options.settings);
  checkInputs(options);
  const { device } = model;
  const long = { signal, onProgress };
  const { dIn: d, dSae: n } = sae.config;

  const firings = await StoreFirings.open({
    sae,
    store,
    split,
    maximumTokens: settings.maximumTokens,
    ...long,
  });
  const counts = await countFirings(firings.blocks("densities"), n, firings.table);
  const densities = Float64Array.from(counts.firings, (count) => count / counts.tokens);
  const isDense = (latent: number): boolean => (densities[latent] ?? 0) > settings.denseThreshold;
  const dense = Array.from(densities.keys()).filter(isDense);
  dense.sort((a, b) => (densities[b] ?? 0) - (densities[a] ?? 0) || a - b);
  const sparse = sampleIndices(
    n,
    (latent) => !isDense(latent) && (densities[latent] ?? 0) > 0,
    settings.sparseSample,
    new Random(seed, streams.sparse),
  );

  onProgress?.({ stage: "principal components", done: 0, total: 1, unit: "decompositions" });
  const pca = firings.covariance.components();
  const weights = await sae.weights();
  const [encoder, decoder]: [Rows, Rows] = [
    { data: weights.encoderRows, count: n, width: d },
    { data: weights.decoder, count: n, width: d },
  ];
  const scored = await antipodality({
    device,
    encoder,
    decoder,
    rows: [...dense, ...sparse],
    ...long,
  });
  const pairs = scored.slice(0, dense.length);
  const negatives = await antipodality({
    device,
    encoder,
    decoder,
    rows: dense.slice(0, settings.maximumLatents),
    requireNegative: true,
    signal,
  });

  const readOut = readsOut(store.manifest.site)
    ? await openReadOut(
        device,
        {
          data: await model.unembedding().floats(),
          count: model.config.vocabulary,
          width: model.config.dModel,
        },
        await model.finalNormWeight().floats(),
        model.tokenizer,
        long,
      )
    : null;
  const component = pca.components[0] ?? new Float64Array(d);
  const judge = (rows: Rows): Promise<DirectionVerdict[]> =>
    judgeDirections(device, rows, component, readOut, settings, long);
  const denseVerdicts = await judge(pickRows(decoder, dense));
  const sparseVerdicts = await judge(pickRows(decoder, sparse));
  const randomVerdicts = await judge(
    randomDirections(settings.randomDirections, d, new Random(seed, streams.random)),
  );

  const described = pairs.slice(0, settings.maximumLatents);
  const partners = described.map((pair) => pair.partner).filter((partner) => partner >= 0);
  throwIfAborted(signal);
  const columns = await collectColumns(
    firings.blocks("contexts"),
    new Set([...described.map((pair) => pair.latent), ...partners]),
  );
  const labelling = labellingOf(history);
  const inputs = {
    settings,
    seed,
    table: firings.table,
    counts,
    columns,
    tokenizer: model.tokenizer,
    readOut,
    labelling,
  };
  const latents = described.flatMap((pair, index) => {
    const [negative, verdict] = [negatives[index], denseVerdicts[index]];
    return negative === undefined || verdict === undefined
      ? []
      : [latentEntry(inputs, pair, negative, verdict)];
  });

  const strong = pairs.filter((pair) => pair.score > settings.strongScore);
  const strongPairs = strong.filter(
    (pair) => pair.mutual && isDense(pair.partner) && pair.latent < pair.partner,
  );
  const points = scored.map(({ latent, score }) => ({
    latent,
    density: densities[latent] ?? 0,
    score,
    dense: isDense(latent),
  }));
  const densest = dense.slice(0, heatMapLatents);
  const k = Math.min(settings.nullspaceDirections, d);
  const shares = readOut === null ? null : nullSpaceShares(decoder, readOut.spectrum, k);
  const cut = nullSpaceCut(k, d, settings.nullspaceQuantile);
  const others = Array.from(densities.keys()).filter(
    (latent) => (densities[latent] ?? 0) > 0 && !isDense(latent),
  );
  const record = store.manifest;
  const result: AtlasResult = {
    kind: "latentkit.atlas",
    schemaVersion: 1,
    createdAt: (options.now?.() ?? new Date()).toISOString(),
    command: options.command ?? null,
    versions: { ...record.versions, ...options.versions },
    seed,
    config: {
      ...Object.fromEntries(
        Object.entries(settings).map(([name, value]) => [
          name,
          Array.isArray(value) ? value.join(", ") : value,
        ]),
      ),
      maskFirstPosition: record.mask.maskFirstPosition,
      maximumNormRatio: record.mask.maximumNormRatio,
      medianNorm: record.mask.medianNorm,
      heldOut: record.split.heldOut,
      splitSeed: record.split.seed,
      backend: `${device.info.name} (${device.info.matmul})`,
    },
    model: {
      ...pickIdentity(model.identity()),
      layers: model.config.layers,
      dModel: model.config.dModel,
      vocabulary: model.config.vocabulary,
    },
    site: { name: record.site, layer: model.site(record.site).layer },
    sae: {
      identity: await sae.identity(),
      architecture: sae.config.architecture,
      dIn: d,
      dSae: n,
      k: sae.config.architecture === "topk" ? sae.config.k : null,
      recipe: history?.recipe ?? null,
    },
    corpus: {
      name: options.corpusName ?? store.name,
      split,
      documents: firings.table.documentIds.length,
      contexts: new Set(firings.table.contexts).size,
      tokens: counts.tokens,
      masked: maskedTokens(firings.table.masks),
      contextSize: record.packing.contextSize,
      prependBos: record.packing.prependBos,
      hash: record.documents.inputSha256,
    },
    metrics: metricRows(counts, metrics, splice, seed),
    training:
      history === null
        ? null
        : {
            recipe: history.recipe,
            uniqueTokens: history.uniqueTokens,
            presentations: history.presentations,
            points: history.points.map((point) => ({
              presentations: point.presentations,
              l0: point.heldOutL0,
              fvu: point.heldOutFvu,
              denseCount: point.denseCount,
            })),
          },
    labelling,
    density: {
      threshold: settings.denseThreshold,
      dense: dense.length,
      dead: densities.reduce((sum, density) => sum + (density === 0 ? 1 : 0), 0),
      histogram: densityBins(densities),
    },
    antipodality: {
      strong: settings.strongScore,
      independentNull: antipodalityNull({ n, d }),
      tiedNull: antipodalityNull({ n, d, tied: true }),
      strongDense: strong.length,
      strongPairs: strongPairs.length,
      byDensity: scoresByDensity(points),
      points,
      heatMap: { latents: densest, cosines: cosineMatrix(encoder, densest) },
    },
    pca: { cut: settings.pcaCut, explained: Array.from(pca.explained.slice(0, 64)) },
    nullspace: {
      k,
      quantile: settings.nullspaceQuantile,
      cut,
      singularValues: Array.from(readOut?.spectrum.singularValues ?? []),
      histogram:
        shares === null
          ? []
          : nullspaceBins(
              dense.map((latent) => shares[latent] ?? 0),
              others.map((latent) => shares[latent] ?? 0),
              k,
              d,
              cut,
            ),
    },
    alphabet: {
      purity: settings.alphabetPurity,
      maximumTokens: settings.alphabetTokens,
      baseRates: baseRates(readOut?.letters),
    },
    classes: classOrder
      .filter(
        (id) =>
          id === "pca" || (readOut !== null && (id !== "alphabet" || model.tokenizer !== null)),
      )
      .map((id) =>
        classEntry(
          id,
          { dense: denseVerdicts, sparse: sparseVerdicts, random: randomVerdicts },
          strongPairs,
          dense,
          settings,
        ),
      ),
    latents,
    omitted: dense.length - latents.length,
  };
  return roundNumbers(result);
}

function maskedTokens(masks: Uint8Array): Record<string, number> {
  const masked = { "first position": 0, "outsized norm": 0 };
  for (const mask of masks) {
    if (mask === 1) masked["first position"]++;
    else if (mask === 3) masked["outsized norm"]++;
  }
  return masked;
}

function pickIdentity(identity: {
  readonly name: string;
  readonly architecture: string;
  readonly weightsHash: string;
}): Pick<AtlasResult["model"], "name" | "architecture" | "weightsHash"> {
  return {
    name: identity.name,
    architecture: identity.architecture,
    weightsHash: identity.weightsHash,
  };
}
