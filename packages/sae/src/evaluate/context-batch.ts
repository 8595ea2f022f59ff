import {
  computeMask,
  contextGrid,
  type MaskPolicy,
  maskReasons,
  rowNorms,
} from "@latentkit/activations";
import type { LanguageModel } from "@latentkit/models";
import type { SaePlace } from "./splice-site.ts";

/** A context to measure on, as `Context` of `@latentkit/activations` or `storeContexts` has it. */
export interface SpliceContext {
  readonly tokens: ArrayLike<number>;
  /** Tokens that are not padding. */
  readonly length: number;
  /** Which document it is from. */
  readonly document: number;
}

/** The mask of a harvest: its policy, and the median norm from the manifest or of `calibrateMask`. */
export type CalibratedMask = MaskPolicy & { readonly medianNorm: number };

/** Activations over a batch, padding included. */
export interface BatchActivations {
  /** Of the site that is read, `[contexts * width, dIn]`. */
  readonly activations: Float32Array;
  /** Of the site that is reconstructed, `[contexts * width, dOut]`: the same array where it is the same site. */
  readonly targets: Float32Array;
  /** Norm of each row of `activations`, by which it may be masked. */
  readonly norms: Float64Array;
}

/** Some contexts, padded on the right to one length. */
export class ContextBatch {
  readonly contexts: readonly SpliceContext[];
  /** Tokens of the longest context. */
  readonly width: number;
  /** `[contexts][width]`. */
  readonly tokens: readonly Int32Array[];
  /** Position and context's length of each row, `[contexts * width]`. */
  readonly grid: { readonly positions: Int32Array; readonly lengths: Int32Array };

  constructor(contexts: readonly SpliceContext[]) {
    this.contexts = contexts;
    this.width = Math.max(...contexts.map(({ length }) => length));
    // Attention is causal, so whatever token pads on the right changes nothing before it.
    this.tokens = contexts.map(({ tokens, length }) =>
      Int32Array.from({ length: this.width }, (_, position) =>
        position < length ? (tokens[position] ?? 0) : 0,
      ),
    );
    this.grid = contextGrid(
      contexts.map(({ length }) => length),
      this.width,
    );
  }

  /** Contexts times width. */
  get rows(): number {
    return this.contexts.length * this.width;
  }

  /** Document of a row's context. */
  document(row: number): number {
    return this.contexts[Math.floor(row / this.width)]?.document ?? 0;
  }

  /** The token that follows a row's; -1 at a context's last token and in padding. */
  next(row: number): number {
    const [context, position] = [Math.floor(row / this.width), row % this.width];
    return position + 1 < (this.contexts[context]?.length ?? 0)
      ? (this.tokens[context]?.[position + 1] ?? -1)
      : -1;
  }

  /** Runs the model as far as the sites. */
  async read(model: LanguageModel, { from, site }: SaePlace): Promise<BatchActivations> {
    using run = model.run(this.tokens, { capture: [from, site], logits: "none" });
    const floats = async (name: string): Promise<Float32Array> =>
      (await run.captured.get(name)?.floats()) ?? new Float32Array(0);
    const activations = await floats(from);
    return {
      activations,
      targets: from === site ? activations : await floats(site),
      norms: rowNorms(activations, activations.length / this.rows),
    };
  }

  /** One of `maskReasons` for each row. */
  mask(norms: Float64Array, { medianNorm, ...policy }: CalibratedMask): Uint8Array {
    return computeMask({ norms, ...this.grid, medianNorm, policy });
  }
}

/** Contexts in batches, in order. */
export function contextBatches(contexts: readonly SpliceContext[], size: number): ContextBatch[] {
  const batches: ContextBatch[] = [];
  for (let start = 0; start < contexts.length; start += size)
    batches.push(new ContextBatch(contexts.slice(start, start + size)));
  return batches;
}

/** Whether a row is measured. */
export function isKept(mask: Uint8Array, row: number): boolean {
  return mask[row] === maskReasons.keep;
}
