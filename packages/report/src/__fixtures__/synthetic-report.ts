import { Random } from "@latentkit/core";
import type { AtlasReport, ReportContext, ReportLatent } from "../atlas-report.ts";

const text =
  " We the people of this house hold that a mind can be read as well as written. The ship left the harbour at dawn, carrying grain, timber and 1,204 letters. In the spring of 1889 the river rose above its banks; nobody in the village was hurt. \"Why do you ask?\" she said, and closed the book. \n\nThe committee met on Tuesday to discuss the budget for roads, schools and the new library. Water boils at a lower temperature on a mountain, which is why cooks there are patient people.";
const pieces: readonly string[] = text.match(/\s?\w+|[^\w\s]|\s+/g) ?? [];
const vocabulary: readonly string[] = [" the", " of", "ing", " and", "\n", " Why", " because", "ed", " house", " time", "\u00e9", " \u6771\u4eac", " 1889", "</s>", " quiet", "<|im_start|>", " s", " sea", " stone", " silver"];

/** What {@link syntheticReport} makes. */
export interface SyntheticOptions {
  readonly dense?: number;
  readonly status?: AtlasReport["labelling"]["status"];
  readonly seed?: number;
  /** Replaces all text that a model or corpus could supply. */
  readonly text?: string;
}

/** A made-up result with the shapes of a real one: for tests and for looking at the page. */
export function syntheticReport(options: SyntheticOptions = {}): AtlasReport {
  const { dense = 33, status = "given", seed = 7 } = options;
  const random = new Random(seed);
  const word = (fallback: string): string => options.text ?? fallback;
  const latents = Array.from({ length: dense }, (_, index) => syntheticLatent(index, dense, status !== "withheld", random, word));
  const shown = Math.min(50, dense);
  return {
    kind: "latentkit.atlas",
    schemaVersion: 1,
    createdAt: "2026-11-22T20:15:00.000Z",
    command: word("latentkit atlas SmolLM2-135M-Instruct.Q4_1.gguf --sae train --site blocks.14.hook_resid_post --text docs.jsonl --out atlas"),
    versions: { latentkit: "0.1.0", node: "v20.20.2", backend: "cpu (openblas 0.3.21)" },
    seed,
    config: { denseThreshold: 0.1, strongScore: 0.9, nullspaceDirections: 10, alphabetPurity: 0.9, note: word("none") },
    model: { name: word("SmolLM2-135M-Instruct"), architecture: "llama", weightsHash: "b179c9523d0e6a0f98a330c7562b6827", layers: 30, dModel: 576, vocabulary: 49152 },
    site: { name: word("blocks.14.hook_resid_post"), layer: 14 },
    sae: { identity: "4f6c1f0e2b7a9d3340aa51cf77e1b2c06b0d8a2f", architecture: "jumprelu", dIn: 576, dSae: 4608, k: null, recipe: "short-run" },
    corpus: {
      name: word("docs.jsonl"), split: "held-out", documents: 51, contexts: 1042, tokens: 129_774, masked: { "first position": 1042, padding: 2560, "outsized norm": 31 },
      contextSize: 128, prependBos: false, hash: "90d1c3ab47f2",
    },
    metrics: [
      { id: "l0", name: "L0", value: 47.3, low: 46.1, high: 48.4, unit: "", note: "latents active on an average token" },
      { id: "fvu", name: "FVU", value: 0.216, low: 0.209, high: 0.224, unit: "", note: "share of the variance that the reconstruction leaves out" },
      { id: "deltaLoss", name: "Delta LM loss", value: 0.184, low: 0.17, high: 0.199, unit: "nats", note: "extra loss of the model when the reconstruction replaces the site" },
      { id: "recovered", name: "Loss recovered", value: 0.971, low: 0.968, high: 0.974, unit: "", note: "against replacing the site by its mean" },
      { id: "dead", name: "Dead latents", value: 0.026, low: null, high: null, unit: "", note: "share that never fired on the held-out text" },
    ],
    training: {
      recipe: "short-run", uniqueTokens: 1_180_000, presentations: 2_050_000,
      points: Array.from({ length: 41 }, (_, step) => ({
        presentations: 50_000 * (step + 1), l0: 47 + 780 * Math.exp(-step / 4), fvu: 0.21 + 0.75 * Math.exp(-step / 3), denseCount: Math.round(33 + 2200 * Math.exp(-step / 3)),
      })),
    },
    labelling: { status, reason: reasons[status] },
    density: {
      threshold: 0.1, dense, dead: 120,
      histogram: Array.from({ length: 20 }, (_, bin) => ({ low: -5 + bin / 4, high: -5 + (bin + 1) / 4, count: Math.round(900 * Math.exp(-(((bin - 10) / 3.4) ** 2)) + (bin >= 16 ? dense / 4 : 0)) })),
    },
    antipodality: {
      strong: 0.9, independentNull: { mean: 0.0141, median: 0.0139, high: 0.0222 }, tiedNull: { mean: 0.0255, median: 0.025, high: 0.0477 },
      strongDense: latents.filter((latent) => latent.score > 0.9).length, strongPairs: Math.floor(latents.filter((latent) => latent.score > 0.9).length / 2),
      byDensity: Array.from({ length: 8 }, (_, bin) => ({ low: -4 + bin / 2, high: -3.5 + bin / 2, latents: 40, median: bin < 6 ? 0.03 + 0.01 * bin : 0.25 * (bin - 5) })),
      points: [
        ...latents.map(({ latent, density, score }) => ({ latent, density, score, dense: true })),
        ...Array.from({ length: 500 }, (_, index) => ({ latent: 2000 + index, density: 10 ** (-2.4 + 0.45 * random.normal()), score: 0.03 + 0.02 * Math.abs(random.normal()), dense: false })).filter((point) => point.density < 0.1),
      ],
      heatMap: {
        latents: latents.slice(0, shown).map((latent) => latent.latent),
        cosines: Array.from({ length: shown }, (_, i) => Array.from({ length: shown }, (_unused, j) => (i === j ? 1 : (i ^ 1) === j && i < 18 ? -0.97 : Math.round(100 * 0.16 * Math.sin(3 * i + 3 * j + i * j)) / 100))),
      },
    },
    pca: { cut: 0.75, explained: Array.from({ length: 64 }, (_, index) => 0.082 / (1 + index) ** 0.8) },
    nullspace: {
      k: 10, quantile: 0.999, cut: 0.2239, singularValues: Array.from({ length: 576 }, (_, index) => 60 / (1 + index) + 12 - index / 100),
      histogram: Array.from({ length: 30 }, (_, bin) => {
        const middle = 0.01 * (bin + 0.5);
        const expected = 0.0105 * Math.exp(-(((middle - 0.13) / 0.042) ** 2)) * 12.7;
        return { low: 0.01 * bin, high: 0.01 * (bin + 1), dense: Math.round(dense * expected * 1.1 + (bin === 24 ? 2 : 0)), sparse: Math.round(4400 * expected), expected };
      }),
    },
    alphabet: { purity: 0.9, maximumTokens: 100, baseRates: [{ letter: "s", tokens: 4710, rate: 0.096 }, { letter: "c", tokens: 4220, rate: 0.086 }, { letter: "p", tokens: 3710, rate: 0.075 }] },
    classes: [
      { id: "pca", name: "PCA", test: "|cosine of the decoder row with the first principal component| above 0.75", dense: { passed: 2, tested: dense }, pairs: 1, sparse: { passed: 0, tested: 4455 }, random: { passed: 0, tested: 256 } },
      { id: "nullspace", name: "null space", test: "share inside the 10 weakest unembedding directions above the 99.9% quantile of random directions", dense: { passed: 3, tested: dense }, pairs: 1, sparse: { passed: 9, tested: 4455 }, random: { passed: 0, tested: 256 } },
      { id: "alphabet", name: "alphabet", test: "at least 90% of the most promoted or suppressed tokens start with one letter", dense: { passed: 1, tested: dense }, pairs: 0, sparse: { passed: 3, tested: 512 }, random: { passed: 0, tested: 256 } },
    ],
    latents,
    omitted: 0,
  };
}

const reasons: Readonly<Record<AtlasReport["labelling"]["status"], string>> = {
  given: "dense count and L0 moved less than 5% over the last fifth of training",
  withheld: "The dense count still moved by 38% over the last fifth of training (from 53 to 33); labels are given once L0 and the dense count move less than 5%.",
  unverified: "Nothing is known about how this autoencoder was trained, so the labels below may describe latents that training had not settled.",
};

function syntheticLatent(index: number, dense: number, labelled: boolean, random: Random, word: (fallback: string) => string): ReportLatent {
  const paired = index < 18;
  const density = 0.46 * Math.exp((-1.5 * index) / dense) + 0.005 * random.uniform();
  const score = paired ? 0.93 + 0.06 * random.uniform() : 0.03 + 0.3 * random.uniform() ** 2;
  const maximum = 2 + 9 * random.uniform();
  const labels = !labelled ? [] : index < 2 ? ["pca", "nullspace"] : index === 6 ? ["nullspace"] : index === 8 ? ["alphabet"] : [];
  const tokens = (sign: number) => Array.from({ length: 10 }, (_, place) => ({ id: 100 + place, text: word(vocabulary[random.integer(vocabulary.length)] ?? ""), score: sign * (5 - 0.2 * place) }));
  return {
    latent: 1000 + index, density, low: density * 0.96, high: density * 1.04, maximum, meanWhenActive: 0.31 * maximum,
    score, partner: paired ? 1000 + (index ^ 1) : 3000 + index, encoderCosine: paired ? -0.97 : -0.2, decoderCosine: paired ? -0.98 : -0.2, mutual: paired,
    negativeScore: score, coFiring: paired ? 0 : 0.011, coFiringExpected: density ** 2, labels, primary: labels[0] ?? null,
    tests: {
      pca: { cosine: index < 2 ? (index === 0 ? 0.91 : -0.9) : 0.1 * random.normal(), passes: index < 2 },
      nullspace: { share: index < 2 || index === 6 ? 0.24 : 0.1 + 0.05 * random.uniform(), passes: index < 2 || index === 6 },
      alphabet: { letter: "s", side: "promoted", purity: index === 8 ? 0.97 : 0.21, k: 100, baseRate: 0.096, passes: index === 8 },
    },
    promoted: tokens(1), suppressed: tokens(-1),
    contexts: [0, 1, 2, 3, 4].map((place) => syntheticContext("top", null, maximum * (1 - 0.04 * place), random, word)).concat([0.9, 0.5, 0.1].map((quantile) => syntheticContext("sample", quantile, maximum * quantile * 0.7, random, word))),
  };
}

function syntheticContext(kind: "top" | "sample", quantile: number | null, peakValue: number, random: Random, word: (fallback: string) => string): ReportContext {
  const start = random.integer(Math.max(1, pieces.length - 32));
  const texts = pieces.slice(start, start + 31).map(word);
  const peak = Math.min(texts.length - 1, 20);
  const activations = texts.map((_, index) => (index === peak ? peakValue : random.uniform() < 0.4 ? Number((peakValue * random.uniform() * 0.95).toPrecision(3)) : 0));
  return { kind, quantile, document: word(`masc/letters-${random.integer(400)}`), position: random.integer(90), peak, texts, activations };
}
