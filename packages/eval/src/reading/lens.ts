import type { LanguageModel } from "@latentkit/models";
import { convert, greater, sum, take, type Tensor } from "@latentkit/tensor";
import { type ReadingOptions, readRows, type ReadRequest } from "./read-rows.ts";

/** Positions at which a token's rank is wanted. */
export interface LensRequest extends ReadRequest {
  /** Tokens whose best rank counts, for example a word with and without a capital. */
  readonly targets: readonly number[];
}

/**
 * Ranks under the logit lens (nostalgebraist, 2020): at each layer the residual stream after it goes through the final norm and the
 * unembedding, and a token's rank is the number of tokens with a higher logit (0 is the top).
 *
 * @returns by request and layer, the best rank of the targets at each position: `ranks[request][layer][position]`
 * @throws what `model.run` throws; AbortedError
 */
export async function lensRanks(
  model: LanguageModel,
  requests: readonly LensRequest[],
  options: ReadingOptions = {},
): Promise<number[][][]> {
  const sites = Array.from(
    { length: model.config.layers },
    (_, layer) => `blocks.${layer}.hook_resid_post`,
  );
  const found: number[][][] = requests.map(() => sites.map(() => []));
  const most = Math.max(1, ...requests.map(({ targets }) => targets.length));
  await readRows(
    model,
    requests,
    sites,
    ({ requests: chosen, rows }) => {
      const ids = chosen.flatMap((index) => {
        const { targets = [], positions = [] } = requests[index] ?? {};
        // Shorter lists repeat their first target, which changes no best rank.
        const padded = Array.from({ length: most }, (_, at) => targets[at] ?? targets[0] ?? 0);
        return positions.map(() => padded);
      });
      return sites.map((site) => {
        const hidden = rows.get(site);
        if (hidden === undefined) return [];
        const logits = model.readOut(hidden);
        return Array.from({ length: most }, (_, at) =>
          ranksOf(
            logits,
            ids.map((own) => own[at] ?? 0),
          ),
        );
      });
    },
    async (layers, chosen) => {
      for (const [layer, tensors] of layers.entries()) {
        // eslint-disable-next-line no-await-in-loop -- small reads, in order
        const values = await Promise.all(tensors.map((tensor) => tensor.floats()));
        for (const tensor of tensors) tensor.dispose();
        let at = 0;
        for (const index of chosen) {
          for (const _position of requests[index]?.positions ?? []) {
            found[index]?.[layer]?.push(Math.min(...values.map((ranks) => ranks[at] ?? 0)));
            at++;
          }
        }
      }
    },
    options,
  );
  return found;
}

/** For each row the number of logits above that of its token. */
function ranksOf(logits: Tensor, tokens: readonly number[]): Tensor {
  const [rows = 0, vocabulary = 0] = logits.shape;
  const flat = logits.reshape([rows * vocabulary]);
  const own = take(
    flat,
    tokens.map((token, row) => row * vocabulary + token),
    { axis: 0 },
  ).reshape([rows, 1]);
  return sum(convert(greater(logits, own), "f32"), { axis: -1 });
}
