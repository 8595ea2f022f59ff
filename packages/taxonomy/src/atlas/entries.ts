import { Random } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { Antipodality } from "../antipodality.ts";
import type { AtlasContext, AtlasLatent, AtlasTokenScore } from "../atlas-result.ts";
import { type ContextWindow, sampleContexts, topContexts } from "../contexts.ts";
import {
  coFirings,
  documentDensity,
  type FiringColumn,
  type FiringCounts,
  type TokenTable,
} from "../firing.ts";
import { type Labelling, labelsOf } from "../labels.ts";
import type { TokenScore } from "../logit-lens.ts";
import type { DirectionVerdict, ReadOut } from "./directions.ts";
import type { AtlasSettings } from "./options.ts";

/** What describing latents needs. */
export interface EntryInputs {
  readonly settings: AtlasSettings;
  readonly seed: number;
  readonly table: TokenTable;
  readonly counts: FiringCounts;
  readonly columns: ReadonlyMap<number, FiringColumn>;
  readonly tokenizer: Tokenizer | null;
  readonly readOut: ReadOut | null;
  readonly labelling: Labelling;
}

const none: FiringColumn = { tokens: new Int32Array(0), values: new Float32Array(0) };

/** One dense latent in full. */
export function latentEntry(
  inputs: EntryInputs,
  pair: Antipodality,
  negative: Antipodality,
  verdict: DirectionVerdict,
): AtlasLatent {
  const { settings, seed, table, counts, columns, labelling, readOut } = inputs;
  const { latent } = pair;
  const column = columns.get(latent) ?? none;
  const density = documentDensity(column, table, counts, seed, latent);
  const partner = pair.partner < 0 ? null : pair.partner;
  const other = partner === null ? undefined : columns.get(partner);
  const labels = labelsOf(verdict, labelling);
  const { alphabet } = verdict;
  const letterTokens = readOut?.letters.counts.get(alphabet.letter) ?? 0;
  const sum = column.values.reduce((total, value) => total + value, 0);
  const window = { before: settings.tokensBefore, after: settings.tokensAfter };
  const windows = [
    ...topContexts(column, table, settings.topContexts, window),
    ...sampleContexts(column, table, settings.sampleQuantiles, new Random(seed, latent), window),
  ];
  return {
    latent,
    density: density.value,
    low: density.low,
    high: density.high,
    maximum: column.values.reduce((most, value) => Math.max(most, value), 0),
    meanWhenActive: column.values.length === 0 ? 0 : sum / column.values.length,
    score: pair.score,
    partner,
    encoderCosine: pair.encoderCosine,
    decoderCosine: pair.decoderCosine,
    mutual: pair.mutual,
    negativeScore: negative.score,
    coFiring: other === undefined ? null : coFirings(column, other) / counts.tokens,
    coFiringExpected:
      other === undefined ? null : (density.value * other.tokens.length) / counts.tokens,
    labels,
    primary: labels[0] ?? null,
    tests: {
      pca: verdict.pca,
      nullspace: verdict.nullspace,
      alphabet: {
        ...alphabet,
        baseRate:
          readOut === null || readOut.letters.tokens === 0
            ? 0
            : letterTokens / readOut.letters.tokens,
      },
    },
    promoted: verdict.lens.promoted.map((token) => tokenScore(token, inputs.tokenizer)),
    suppressed: verdict.lens.suppressed.map((token) => tokenScore(token, inputs.tokenizer)),
    contexts: windows.map((each) => contextEntry(each, table, inputs.tokenizer)),
  };
}

function tokenScore({ id, score }: TokenScore, tokenizer: Tokenizer | null): AtlasTokenScore {
  return { id, text: tokenizer === null ? `[${id}]` : tokenizer.tokenText(id), score };
}

function contextEntry(
  window: ContextWindow,
  table: TokenTable,
  tokenizer: Tokenizer | null,
): AtlasContext {
  const { kind, quantile, peak, start, end } = window;
  return {
    kind,
    quantile,
    document: table.documentIds[table.documents[peak] ?? 0] ?? "",
    position: table.positions[start] ?? 0,
    peak: peak - start,
    texts: tokenPieces(table.ids.subarray(start, end), tokenizer),
    activations: Array.from(window.activations),
  };
}

/**
 * The text of each token. A character whose bytes are spread over several tokens is shown at the first of them, since its parts
 * read as nothing on their own.
 */
export function tokenPieces(ids: Int32Array, tokenizer: Tokenizer | null): string[] {
  if (tokenizer === null) return Array.from(ids, (id) => ` [${id}]`);
  const pieces = Array.from(ids, (id) => tokenizer.tokenText(id));
  for (let start = 0; start < pieces.length; start++) {
    if (pieces[start]?.includes("\ufffd") !== true) continue;
    let end = start + 1;
    while (end < pieces.length && pieces[end]?.includes("\ufffd") === true) end++;
    pieces[start] = tokenizer.decode(ids.subarray(start, end));
    pieces.fill("", start + 1, end);
    start = end;
  }
  return pieces;
}
