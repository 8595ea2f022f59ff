import {
  type LongCallOptions,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import { type Device, matmul } from "@latentkit/tensor";
import { pickRows, type Rows, unitRows } from "./vectors.ts";

/** What {@link antipodality} reads. */
export interface AntipodalityOptions extends LongCallOptions {
  /** Computes the two products. */
  readonly device: Device;
  /** W_enc by latent, `[n, d]`. SAELens and our files store `[d, n]`: transpose first, or the cosines run over the wrong axis. */
  readonly encoder: Rows;
  /** W_dec by latent, `[n, d]`. */
  readonly decoder: Rows;
  /** Latents to score, each against all others; default all. Dense ones suffice, and cost n/|rows| less. */
  readonly rows?: readonly number[] | undefined;
  /** Only count partners with BOTH cosines negative, so that near-duplicates do not pass for antipodes. Default false. */
  readonly requireNegative?: boolean | undefined;
  /** Rows a product; default such that a block of cosines stays near 4 M values. Never n x n. */
  readonly block?: number | undefined;
}

/** Antipodality of one latent. */
export interface Antipodality {
  readonly latent: number;
  /** s_i = max over j of cos(enc_i, enc_j) cos(dec_i, dec_j). 0 when `requireNegative` leaves no candidate. */
  readonly score: number;
  /** argmax j; -1 when there is no candidate. */
  readonly partner: number;
  readonly encoderCosine: number;
  readonly decoderCosine: number;
  /** Whether the partner's own argmax is this latent. */
  readonly mutual: boolean;
}

/**
 * The antipodality score of "Dense SAE Latents Are Features, Not Bugs" (arXiv 2506.15679): a latent and its antipode point in
 * nearly opposite directions in encoder and decoder, so the product of both cosines is near 1. Duplicates, with both cosines near
 * +1, score high too: read the signs, or ask for `requireNegative`.
 *
 * Rows are scaled to unit length first, so the score does not depend on how weight is shared between encoder and decoder.
 *
 * @throws ShapeError `ANTIPODALITY_SHAPES` when encoder and decoder differ in shape
 */
export async function antipodality(options: AntipodalityOptions): Promise<Antipodality[]> {
  const { encoder, decoder, device, signal, onProgress } = options;
  checkShapes(encoder, decoder);
  const rows = options.rows ?? Array.from({ length: encoder.count }, (_, index) => index);
  const best = await bestPartners(options, rows, (done) =>
    onProgress?.({ stage: "antipodality", done, total: rows.length, unit: "latents" }),
  );
  const known = new Map(best.map((entry) => [entry.latent, entry.partner]));
  const missing = [...new Set(best.map((entry) => entry.partner))].filter(
    (partner) => partner >= 0 && !known.has(partner),
  );
  for (const entry of await bestPartners({ ...options, device, signal }, missing))
    known.set(entry.latent, entry.partner);
  return best.map((entry) => ({
    ...entry,
    mutual: entry.partner >= 0 && known.get(entry.partner) === entry.latent,
  }));
}

/** Encoder cosines among the given latents, `[m][m]`: the heat map of the paper's densest latents. */
export function cosineMatrix(rows: Rows, latents: readonly number[]): number[][] {
  const unit = unitRows(pickRows(rows, latents));
  return latents.map((_, i) =>
    latents.map((_unused, j) => {
      let sum = 0;
      for (let column = 0; column < unit.width; column++)
        sum +=
          (unit.data[i * unit.width + column] ?? 0) * (unit.data[j * unit.width + column] ?? 0);
      return sum;
    }),
  );
}

type Best = Omit<Antipodality, "mutual">;

async function bestPartners(
  options: AntipodalityOptions,
  rows: readonly number[],
  onBlock?: (done: number) => void,
): Promise<Best[]> {
  if (rows.length === 0) return [];
  const { device } = options;
  const [encoder, decoder] = [unitRows(options.encoder), unitRows(options.decoder)];
  const [n, d] = [encoder.count, encoder.width];
  const size = Math.max(1, options.block ?? Math.floor(4_000_000 / n));
  const found: Best[] = [];
  using allEncoders = device.tensor(encoder.data, [n, d]);
  using allDecoders = device.tensor(decoder.data, [n, d]);
  for (let start = 0; start < rows.length; start += size) {
    throwIfAborted(options.signal);
    const block = rows.slice(start, start + size);
    using someEncoders = device.tensor(pickRows(encoder, block).data, [block.length, d]);
    using someDecoders = device.tensor(pickRows(decoder, block).data, [block.length, d]);
    using encoderProduct = matmul(someEncoders, allEncoders, { transposeB: true });
    using decoderProduct = matmul(someDecoders, allDecoders, { transposeB: true });
    const [e, w] = [await encoderProduct.floats(), await decoderProduct.floats()];
    for (let place = 0; place < block.length; place++) {
      found.push(
        bestOfRow(
          block[place] ?? 0,
          e.subarray(place * n, (place + 1) * n),
          w.subarray(place * n, (place + 1) * n),
          options.requireNegative === true,
        ),
      );
    }
    onBlock?.(start + block.length);
    await yieldToEventLoop();
  }
  return found;
}

function bestOfRow(
  latent: number,
  encoder: Float32Array,
  decoder: Float32Array,
  requireNegative: boolean,
): Best {
  let [score, partner] = [Number.NEGATIVE_INFINITY, -1];
  for (let other = 0; other < encoder.length; other++) {
    const [e, w] = [encoder[other] ?? 0, decoder[other] ?? 0];
    if (other === latent || (requireNegative && !(e < 0 && w < 0))) continue;
    if (e * w > score) [score, partner] = [e * w, other];
  }
  if (partner < 0) return { latent, score: 0, partner, encoderCosine: 0, decoderCosine: 0 };
  return {
    latent,
    score,
    partner,
    encoderCosine: encoder[partner] ?? 0,
    decoderCosine: decoder[partner] ?? 0,
  };
}

function checkShapes(encoder: Rows, decoder: Rows): void {
  if (encoder.count === decoder.count && encoder.width === decoder.width) return;
  throw new ShapeError({
    code: "ANTIPODALITY_SHAPES",
    message: `encoder has ${encoder.count} rows of ${encoder.width}, decoder ${decoder.count} rows of ${decoder.width}`,
    fix: "give both as [latents, d_in]; transpose W_enc if it is stored [d_in, latents]",
  });
}
