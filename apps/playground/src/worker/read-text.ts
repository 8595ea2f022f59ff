import { internalFault } from "@latentkit/core";
import { addVector, type LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import type { Tensor } from "@latentkit/tensor";
import type { Question, Reading } from "../protocol.ts";
import { type ActiveLatent, activeLatents } from "./active-latents.ts";
import { predictions } from "./predictions.ts";

/**
 * What the model and the SAE of one layer make of a text: its tokens with their active latents, and the next token, with steering too
 * if the question has some.
 *
 * @throws ConfigError `CONTEXT_OVERFLOW` for a text that the model's context does not hold; ShapeError for a latent that the SAE does
 *   not have
 */
export async function readText(
  model: LanguageModel,
  sae: Sae,
  { text, layer, steering }: Pick<Question, "text" | "layer" | "steering">,
): Promise<Pick<Reading, "site" | "width" | "tokens" | "next">> {
  const { tokenizer } = model;
  const first = tokenizer?.specialTokens.bos ?? null;
  if (tokenizer === null || first === null)
    throw internalFault("the embedded model has a tokenizer with a token that begins a text");
  const site = `blocks.${layer}.hook_resid_post`;
  const ids = [...tokenizer.encode(text).ids];
  // As in training, every text begins with this token.
  const tokens = [first, ...ids];
  using run = model.run([tokens], { capture: [site], logits: "last" });
  const active = await encode(sae, run.captured.get(site), tokens.length);
  const logits = await lastLogits(run.logits);
  const steered =
    steering === null ? null : await steeredLogits(model, sae, site, tokens, steering);
  return {
    site,
    width: sae.config.dSae,
    tokens: ids.map((id, place) => ({
      id,
      text: tokenizer.tokenText(id),
      active: active[place] ?? [],
    })),
    next: predictions(tokenizer, logits, steered),
  };
}

/** Active latents of all tokens but the first, of a stream `[1, length, d_in]`. */
async function encode(
  sae: Sae,
  stream: Tensor | undefined,
  length: number,
): Promise<ActiveLatent[][]> {
  // The SAEs have not seen what stands at the first token, and there is nothing else in an empty text.
  if (stream === undefined || length === 1) return [];
  using rows = stream.reshape([length, sae.config.dIn]);
  using texts = rows.rows(1, length);
  using latents = sae.encode(texts);
  return await activeLatents(latents);
}

/** The logits after adding `strength` times the latent's row of W_dec to the stream of all tokens but the first. */
async function steeredLogits(
  model: LanguageModel,
  sae: Sae,
  site: string,
  tokens: readonly number[],
  { latent, strength }: NonNullable<Question["steering"]>,
): Promise<Float32Array> {
  using direction = sae.decoder.rows(latent, latent + 1);
  const positions = tokens.map((_, position) => position).slice(1);
  const edit = addVector(direction, { scale: strength, positions });
  using run = model.run([[...tokens]], { edits: [{ site, edit }], logits: "last" });
  return await lastLogits(run.logits);
}

async function lastLogits(logits: Tensor | null): Promise<Float32Array> {
  return (await logits?.floats()) ?? new Float32Array();
}
