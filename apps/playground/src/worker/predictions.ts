import type { Tokenizer } from "@latentkit/loaders";
import type { Prediction } from "../protocol.ts";

/** Tokens that each of the two distributions gives to the list. */
const shown = 10;

/**
 * The most probable next tokens: the first ten, and with steering the first ten of that too, ordered by the distribution that is
 * steered, if one is.
 *
 * @param logits over the vocabulary
 * @param steered the same with steering, or null
 */
export function predictions(
  tokenizer: Tokenizer,
  logits: Float32Array,
  steered: Float32Array | null,
): Prediction[] {
  const before = distribution(logits);
  const after = steered === null ? null : distribution(steered);
  const ids = new Set([...before.first, ...(after?.first ?? [])]);
  return [...ids]
    .map((id) => ({
      id,
      text: tokenizer.tokenText(id),
      ...before.of(id),
      steered: after?.of(id) ?? null,
    }))
    .sort((a, b) => (b.steered?.logit ?? b.logit) - (a.steered?.logit ?? a.logit) || a.id - b.id);
}

/** The softmax of logits, in f64. */
function distribution(logits: Float32Array) {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  const of = (id: number): { readonly logit: number; readonly probability: number } => {
    const logit = logits[id] ?? Number.NaN;
    return { logit, probability: Math.exp(logit - most) / total };
  };
  const byLogit = Array.from(logits.keys()).sort((a, b) => of(b).logit - of(a).logit || a - b);
  return { of, first: byLogit.slice(0, shown) };
}
