import type { LongCallOptions } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import { type AlphabetVerdict, alphabetTest, type LetterIndex, letterIndex } from "../alphabet.ts";
import { eachLogitContribution, type LogitLens, logitLens } from "../logit-lens.ts";
import {
  nullSpaceCut,
  nullSpaceShares,
  type UnembeddingSpectrum,
  unembeddingSpectrum,
} from "../null-space.ts";
import { componentCosines } from "../principal-components.ts";
import type { Rows } from "../vectors.ts";
import type { AtlasSettings } from "./options.ts";

/** What the three tests say of one direction. */
export interface DirectionVerdict {
  readonly pca: { readonly cosine: number; readonly passes: boolean };
  readonly nullspace: { readonly share: number; readonly passes: boolean };
  readonly alphabet: AlphabetVerdict;
  readonly lens: LogitLens;
}

/** The model's way out, if the site's directions can be read through it. */
export interface ReadOut {
  readonly unembedding: Rows;
  readonly gain: Float32Array;
  readonly spectrum: UnembeddingSpectrum;
  readonly letters: LetterIndex;
}

/** Sites whose vectors live in the residual stream: elsewhere a decoder row has no path through the unembedding of its own. */
const residualSite =
  /(?:hook_embed|hook_resid_(?:pre|mid|post)|hook_attn_out|hook_mlp_out|ln_final\.hook_normalized)$/;

/** Whether null space, alphabet and logit lens mean anything at a site. */
export function readsOut(site: string): boolean {
  return residualSite.test(site);
}

/** Prepares the unembedding's spectrum and the vocabulary's letters. */
export async function openReadOut(
  device: Device,
  unembedding: Rows,
  gain: Float32Array,
  tokenizer: Tokenizer | null,
  options: LongCallOptions,
): Promise<ReadOut> {
  const spectrum = await unembeddingSpectrum(device, unembedding, gain, options);
  const known = Math.min(unembedding.count, tokenizer?.vocabularySize ?? 0);
  const texts = Array.from({ length: unembedding.count }, (_, id) =>
    id < known ? (tokenizer?.tokenText(id) ?? "") : "",
  );
  // Rows beyond the tokenizer's vocabulary are padding of the matrix: nothing promotes them on purpose.
  const beyond = Array.from({ length: unembedding.count - known }, (_, place) => known + place);
  const special = tokenizer === null ? [] : [...tokenizer.specialTokens.all.values(), ...beyond];
  return { unembedding, gain, spectrum, letters: letterIndex(texts, special) };
}

/** Runs all tests on rows of any origin: dense latents, other latents, random directions. */
export async function judgeDirections(
  device: Device,
  directions: Rows,
  component: Float64Array,
  readOut: ReadOut | null,
  settings: AtlasSettings,
  options: LongCallOptions,
): Promise<DirectionVerdict[]> {
  const cosines = componentCosines(directions, component);
  const pca = (index: number): DirectionVerdict["pca"] => ({
    cosine: cosines[index] ?? 0,
    passes: Math.abs(cosines[index] ?? 0) > settings.pcaCut,
  });
  if (readOut === null)
    return Array.from(cosines, (_, index) => ({
      pca: pca(index),
      nullspace: { share: 0, passes: false },
      alphabet: noLetter,
      lens: { promoted: [], suppressed: [] },
    }));
  const k = Math.min(settings.nullspaceDirections, directions.width);
  const shares = nullSpaceShares(directions, readOut.spectrum, k);
  const cut = nullSpaceCut(k, directions.width, settings.nullspaceQuantile);
  const verdicts: DirectionVerdict[] = [];
  await eachLogitContribution({
    device,
    directions,
    unembedding: readOut.unembedding,
    gain: readOut.gain,
    ...options,
    visit: (index, logits) => {
      const share = shares[index] ?? 0;
      verdicts.push({
        pca: pca(index),
        nullspace: { share, passes: share > cut },
        alphabet: alphabetTest(logits, readOut.letters, {
          purity: settings.alphabetPurity,
          maximumTokens: settings.alphabetTokens,
        }),
        lens: logitLens(logits, settings.lensTokens, readOut.letters.excluded),
      });
    },
  });
  return verdicts;
}

const noLetter: AlphabetVerdict = { letter: "", side: "promoted", purity: 0, k: 0, passes: false };
