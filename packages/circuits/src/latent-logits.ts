import { directionLogits } from "@latentkit/analysis";
import {
  ConfigError,
  internalFault,
  type LongCallOptions,
  MismatchError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import { neg, take, type Tensor, topK as largest, variance } from "@latentkit/tensor";
import { promptLength, type Prompts } from "./prompts.ts";
import { latentSite } from "./spliced-sites.ts";

/** Options of {@link latentLogits}. */
export interface LatentLogitsOptions extends LongCallOptions {
  /** The site that the SAE decodes to; what its metadata names if left out. */
  readonly site?: string | undefined;
  /** Latents that are wanted; all if left out. */
  readonly latents?: readonly number[] | undefined;
  /** How many tokens are named at each end, at least 1; 10 if left out. */
  readonly topK?: number | undefined;
  /** Tokens whose logits are wanted whatever they are. */
  readonly targets?: readonly number[] | undefined;
  /**
   * What the final norm divides by: a number, or the mean over these prompts' tokens. It is the same for all latents and tokens, so it changes
   * units alone: with 1, the default, effects are those on a stream that the norm leaves at its length.
   */
  readonly scale?: number | { readonly prompts: Prompts } | undefined;
  /** Latents in a block, each with all of the vocabulary; about 2^22 logits if left out. It changes memory and speed alone. */
  readonly batchSize?: number | undefined;
}

/** A token, and what one unit of a latent adds to its logit. */
export interface TokenEffect {
  readonly token: number;
  readonly effect: number;
}

/** What a latent does straight to the logits. */
export interface LatentLogits {
  readonly latent: number;
  /** The largest effects, the largest first. */
  readonly promoted: readonly TokenEffect[];
  /** The smallest, the smallest first. */
  readonly suppressed: readonly TokenEffect[];
  /** In their order. */
  readonly targets: readonly TokenEffect[];
  /** Standard deviation of the effect over the vocabulary, to see what stands out. */
  readonly deviation: number;
}

/** Elements of a block of logits: 2^22 f32 are 17 MB. */
const blockElements = 2 ** 22;

/**
 * The direct effect of latents on logits: what one unit of a latent adds to each token's logit along the residual stream, with the final norm's
 * scale frozen (`directionLogits` of `@latentkit/analysis` of its decoder direction). What it does by way of later layers is
 * another matter: `latentAttribution` counts that too.
 *
 * @throws ConfigError `CIRCUIT_SITES`, `SITE_UNKNOWN`, `LATENT_STREAM` for a site outside of the residual stream, `LATENT_UNKNOWN`; MismatchError
 *   `LATENT_WIDTH`; AbortedError
 */
export async function latentLogits(
  model: LanguageModel,
  sae: Sae,
  options: LatentLogitsOptions = {},
): Promise<LatentLogits[]> {
  const { topK = 10, targets = [], signal, onProgress } = options;
  checkStream(model, options.site ?? latentSite(sae).site, sae);
  const { dSae } = sae.config;
  const latents = options.latents ?? Array.from({ length: dSae }, (_, latent) => latent);
  checkLatents(latents, dSae);
  const scale = await scaleOf(model, options.scale ?? 1);
  const { vocabulary } = model.config;
  const count = Math.min(Math.max(1, Math.floor(topK)), vocabulary);
  const step = Math.max(1, Math.floor(options.batchSize ?? blockElements / vocabulary));
  const found: LatentLogits[] = [];
  for (let start = 0; start < latents.length; start += step) {
    throwIfAborted(signal, "nothing is kept");
    const own = latents.slice(start, start + step);
    const block = model.device.scope(() => {
      const directions = take(sae.decoder, Int32Array.from(own), { axis: 0 });
      const logits = directionLogits(model, directions, { scale });
      return {
        promoted: largest(logits, count),
        suppressed: largest(neg(logits), count),
        targets: take(logits, Int32Array.from(targets), { axis: 1 }),
        variances: variance(logits, { axis: 1, correction: 0 }),
      };
    });
    // eslint-disable-next-line no-await-in-loop -- a block at a time
    found.push(...(await readBlock(block, own, targets)));
    onProgress?.({
      stage: "latent logits",
      done: found.length,
      total: latents.length,
      unit: "latents",
    });
    // eslint-disable-next-line no-await-in-loop -- lets signals through
    await yieldToEventLoop();
  }
  return found;
}

interface Block {
  readonly promoted: Ends;
  readonly suppressed: Ends;
  readonly targets: Tensor;
  readonly variances: Tensor;
}

interface Ends {
  readonly values: Tensor;
  readonly indices: Tensor;
}

/** Reads a block and frees it. */
async function readBlock(
  block: Block,
  latents: readonly number[],
  tokens: readonly number[],
): Promise<LatentLogits[]> {
  const { promoted, suppressed, targets, variances } = block;
  try {
    const above = await readEnds(promoted, 1);
    const below = await readEnds(suppressed, -1);
    const wanted = await targets.floats();
    const spread = await variances.floats();
    return latents.map((latent, row) => ({
      latent,
      promoted: above[row] ?? [],
      suppressed: below[row] ?? [],
      targets: tokens.map((token, index) => ({
        token,
        effect: wanted[row * tokens.length + index] ?? Number.NaN,
      })),
      deviation: Math.sqrt(spread[row] ?? Number.NaN),
    }));
  } finally {
    for (const { values, indices } of [promoted, suppressed]) {
      values.dispose();
      indices.dispose();
    }
    targets.dispose();
    variances.dispose();
  }
}

async function readEnds({ values, indices }: Ends, sign: 1 | -1): Promise<TokenEffect[][]> {
  const [rows = 0, count = 0] = values.shape;
  const effects = await values.floats();
  const tokens = await indices.integers();
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: count }, (__, place) => ({
      token: tokens[row * count + place] ?? 0,
      effect: sign * (effects[row * count + place] ?? Number.NaN),
    })),
  );
}

/** The scale to freeze. */
async function scaleOf(
  model: LanguageModel,
  given: number | { readonly prompts: Prompts },
): Promise<number> {
  if (typeof given === "number") return given;
  promptLength(given.prompts, "scale");
  const name = "ln_final.hook_scale";
  using run = model.run(given.prompts, { capture: [name], logits: "none" });
  const scales = await run.captured.get(name)?.floats();
  if (scales === undefined) throw internalFault(`a run did not capture ${name}`);
  return scales.reduce((sum, scale) => sum + scale, 0) / scales.length;
}

/** @throws ConfigError `LATENT_STREAM`, MismatchError `LATENT_WIDTH` */
function checkStream(model: LanguageModel, name: string, sae: Sae): void {
  const site = model.site(name);
  const { dIn, dOut } = sae.config;
  if (site.shape.at(-1) !== "d_model" || site.shape.length !== 3 || name.endsWith("normalized")) {
    throw new ConfigError({
      code: "LATENT_STREAM",
      message: `${name} with axes ${site.shape.join(", ")} is not in the residual stream, which logits are read from`,
      fix: "give an SAE of hook_resid_pre, hook_resid_mid, hook_resid_post, hook_attn_out or hook_mlp_out",
      where: name,
    });
  }
  if ((dOut ?? dIn) === site.width) return;
  throw new MismatchError({
    code: "LATENT_WIDTH",
    message: `the SAE writes ${dOut ?? dIn} features, and ${name} of ${model.name} has ${site.width}`,
    fix: "give an SAE of this model",
    where: name,
  });
}

/** @throws ConfigError `LATENT_UNKNOWN` */
function checkLatents(latents: readonly number[], dSae: number): void {
  const bad = latents.find((latent) => !Number.isInteger(latent) || latent < 0 || latent >= dSae);
  if (bad === undefined) return;
  throw new ConfigError({
    code: "LATENT_UNKNOWN",
    message: `latent ${bad} is none of the SAE's ${dSae}`,
    fix: `give whole numbers from 0 to ${dSae - 1}`,
  });
}
