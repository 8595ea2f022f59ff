import { ConfigError } from "@latentkit/core";
import { add, type SparseRows, sparseToDense, stopGradient, sub, Tensor } from "@latentkit/tensor";
import { atPositions, checkPerToken, type EditPositions } from "./edit-positions.ts";
import type { EditContext, SiteEdit } from "./hook-run.ts";

/**
 * What can be spliced into a forward pass: an SAE or a transcoder, for example an `Sae` of `@latentkit/sae`, or any object with these
 * functions. Tensors that it makes are freed by the run.
 *
 * `Latents` is what it encodes to, a matrix or the active entries of one. One that encodes to sparse rows decodes both, since edits
 * see the matrix and may make any latent active.
 */
export interface LatentCodec<Latents extends SparseRows | Tensor = SparseRows | Tensor> {
  /** Latents `[tokens, latents]` of activations `[tokens, width]`. */
  encode(x: Tensor): Latents;
  /**
   * Activations `[tokens, width]` of latents `[tokens, latents]`.
   *
   * @param x what was encoded, which a transcoder with a skip connection reads as well
   */
  decode(latents: Latents | Tensor, x: Tensor): Tensor;
  /** {@link LatentCodec.encode} in two steps, for the site between them: `encode(x)` is `activate(preActivations(x))`. */
  readonly steps?:
    | {
        preActivations(x: Tensor): Tensor;
        activate(pre: Tensor): Latents;
      }
    | undefined;
  /** `decode(encode(x), x)`, for passes in which nobody looks at the latents: by blocks of rows, say. */
  reconstruct?(x: Tensor): Tensor;
}

/** How {@link splice} goes about it. */
export interface SpliceOptions extends EditPositions {
  /**
   * Adds what the codec misses of the value, `value - decode(encode(x))`, computed before any edits of the latents: without such
   * edits the value stays as it is, but for rounding. `"constant"` is the same number for gradients to pass by, as in SAELens; false
   * by default.
   */
  readonly error?: boolean | "constant" | undefined;
  /** The earlier site that a transcoder reads, for example `"blocks.3.ln2.hook_normalized"`; the site itself by default. */
  readonly from?: string | undefined;
}

/**
 * Puts what a codec makes of a value in the value's place: `decode(encode(x))`, or that and the error term.
 *
 * Inside of it are sites as SAELens names them, to be captured and edited: `SITE.hook_sae_input`, `hook_sae_acts_pre` (where the codec
 * has `steps`), `hook_sae_acts_post [batch, pos, latents]`, `hook_sae_recons`, `hook_sae_error` (with the error term) and
 * `hook_sae_output`, the others `[batch, pos, width]`. Each edit there changes what comes after it, and the error term stays that of
 * the unedited latents.
 *
 * @throws in the run ConfigError `EDIT_SITE`, `EDIT_READS`, `SITE_TAKEN` for two splices at one site; what the codec throws
 */
export function splice(site: string, codec: LatentCodec, options: SpliceOptions = {}): SiteEdit {
  const { error = false, from } = options;
  return {
    site,
    innerSites: [
      "hook_sae_input",
      ...(codec.steps === undefined ? [] : ["hook_sae_acts_pre"]),
      "hook_sae_acts_post",
      "hook_sae_recons",
      ...(error === false ? [] : ["hook_sae_error"]),
      "hook_sae_output",
    ],
    reads: from === undefined ? [] : [from],
    edit: (value, context) => {
      checkPerToken(context);
      const given = from === undefined ? value : context.read(from);
      const recons = through(codec, given, value, context);
      const missed = error === false ? null : missing(codec, given, value);
      const output =
        missed === null
          ? recons
          : add(
              recons,
              context.visit("hook_sae_error", error === "constant" ? stopGradient(missed) : missed),
            );
      return atPositions(value, context.visit("hook_sae_output", output), options, context);
    },
  };
}

/** The reconstruction `[batch, pos, ..]`, with the hooks on the way. */
function through(codec: LatentCodec, given: Tensor, value: Tensor, context: EditContext): Tensor {
  const x = visitRows("hook_sae_input", byToken(given), value, context);
  const decoded = context.wants("hook_sae_acts_pre", "hook_sae_acts_post")
    ? codec.decode(visitedLatents(codec, x, value, context), x)
    : reconstruct(codec, x);
  const recons = checkDecoded(decoded, value, context).reshape(value.shape);
  return context.visit("hook_sae_recons", recons);
}

/** The latents `[tokens, latents]`, as the hooks leave them. */
function visitedLatents(
  codec: LatentCodec,
  x: Tensor,
  value: Tensor,
  context: EditContext,
): SparseRows | Tensor {
  const { steps } = codec;
  const latents =
    steps !== undefined && context.wants("hook_sae_acts_pre")
      ? steps.activate(visitRows("hook_sae_acts_pre", steps.preActivations(x), value, context))
      : codec.encode(x);
  if (!context.wants("hook_sae_acts_post")) return latents;
  const dense = latents instanceof Tensor ? latents : sparseToDense(latents);
  return visitRows("hook_sae_acts_post", dense, value, context);
}

/** Shows the hooks `[tokens, n]` as `[batch, pos, n]`. */
function visitRows(name: string, rows: Tensor, value: Tensor, context: EditContext): Tensor {
  const [batch = 0, length = 0] = value.shape;
  const seen = context.visit(name, rows.reshape([batch, length, rows.size / (batch * length)]));
  return seen.reshape(rows.shape);
}

function reconstruct(codec: LatentCodec, x: Tensor): Tensor {
  return codec.reconstruct?.(x) ?? codec.decode(codec.encode(x), x);
}

function missing(codec: LatentCodec, given: Tensor, value: Tensor): Tensor {
  return sub(value, reconstruct(codec, byToken(given)).reshape(value.shape));
}

/** `[batch * pos, width]`. */
function byToken(value: Tensor): Tensor {
  const [batch = 0, length = 0] = value.shape;
  return value.reshape([batch * length, value.size / (batch * length)]);
}

function checkDecoded(decoded: unknown, value: Tensor, { site }: EditContext): Tensor {
  if (decoded instanceof Tensor && decoded.size === value.size) return decoded;
  throw new ConfigError({
    code: "EDIT_RESULT",
    message: `the codec spliced at ${site.name} decoded to ${decoded instanceof Tensor ? `${decoded.size} numbers` : String(decoded)} for a value of ${value.size}`,
    fix: `splice a codec whose output has ${site.width} features`,
    where: site.name,
  });
}
