import { formatShape, FormatError, ShapeError } from "@latentkit/core";
import { concat, slice, type SparseRows, type Tensor } from "@latentkit/tensor";
import { z } from "zod";
import { describeIssues } from "./config.ts";
import type { Sae } from "./sae.ts";
import type { CrosscoderSite } from "./train/crosscoder-config.ts";

const sitesSchema = z
  .array(z.object({ name: z.string().min(1), width: z.int().positive() }))
  .min(1);

/**
 * A crosscoder at inference: an SAE over the activations of several sites side by side, which its metadata name as `crosscoderSites`.
 * `f = sparsify(sum_s W_enc^s x^s + b_enc)`, `x^^s = W_dec^s f + b_dec^s`. It is kept in the files of an SAE.
 *
 * It looks at the SAE and does not own it.
 */
export class Crosscoder {
  readonly sae: Sae;
  readonly sites: readonly CrosscoderSite[];

  /** @throws FormatError `CROSSCODER_SITES` where the SAE's metadata have no sites, or sites of another width */
  constructor(sae: Sae) {
    const parsed = sitesSchema.safeParse(sae.config.metadata["crosscoderSites"]);
    if (!parsed.success) {
      throw new FormatError({
        code: "CROSSCODER_SITES",
        message: `the SAE's metadata have no crosscoderSites: ${describeIssues(parsed.error)}`,
        fix: "give the SAE of a crosscoder's training, or name the sites in its metadata",
      });
    }
    const sum = parsed.data.reduce((total, { width }) => total + width, 0);
    if (sum !== sae.config.dIn) {
      throw new FormatError({
        code: "CROSSCODER_SITES",
        message: `the crosscoder's sites are ${sum} wide together, but it reads ${sae.config.dIn}`,
        fix: "name each site with its width, in the order of the columns",
      });
    }
    this.sae = sae;
    this.sites = parsed.data;
  }

  /** The active latents of rows of activations, one tensor `[n, width]` a site, in the sites' order. Throws {@link ShapeError}. */
  encode(activations: readonly Tensor[]): SparseRows {
    return this.sae.device.scope(() => this.sae.encode(this.#joined(activations)));
  }

  /** Each site's reconstruction, `[n, width]`, of latents or of a matrix `[n, d_sae]`. */
  decode(latents: SparseRows | Tensor): Tensor[] {
    return this.sae.device.scope(() => this.#apart(this.sae.decode(latents)));
  }

  /** `decode(encode(activations))`, by row blocks. */
  reconstruct(activations: readonly Tensor[]): Tensor[] {
    return this.sae.device.scope(() =>
      this.#apart(this.sae.reconstruct(this.#joined(activations))),
    );
  }

  /**
   * ||d_i^s||, the norm of each latent's decoder row at each site, `[d_sae]` a site, in units of the site's raw activations. Divide by the
   * site's scale before comparing sites.
   */
  async decoderNorms(): Promise<Float32Array[]> {
    const { dSae, dIn } = this.sae.config;
    const decoder = await this.sae.decoder.floats();
    let start = 0;
    return this.sites.map(({ width }) => {
      const from = start;
      start += width;
      return Float32Array.from({ length: dSae }, (_, latent) => {
        const at = latent * dIn + from;
        return Math.hypot(...decoder.subarray(at, at + width));
      });
    });
  }

  #joined(activations: readonly Tensor[]): Tensor {
    const given = activations.map(({ shape }) => shape);
    const fits = this.sites.every(
      ({ width }, at) =>
        given[at]?.length === 2 && given[at]?.[0] === given[0]?.[0] && given[at]?.[1] === width,
    );
    if (!fits || given.length !== this.sites.length) {
      throw new ShapeError({
        code: "SHAPE_SITES",
        message: `the crosscoder reads ${this.sites.map(({ name, width }) => `${name} [n, ${width}]`).join(", ")}, but was given ${given.map(formatShape).join(", ")}`,
        fix: "give one matrix of activations a site, in the sites' order",
      });
    }
    return concat(activations, { axis: 1 });
  }

  #apart(joined: Tensor): Tensor[] {
    let end = 0;
    return this.sites.map(({ width }) => {
      end += width;
      return slice(joined, { axis: 1, start: end - width, end });
    });
  }
}
