import type { Tensor } from "@latentkit/tensor";
import type { LogitsWanted } from "./families/family.ts";
import type { SiteEdit } from "./hook-run.ts";
import type { KvCache } from "./kv-cache.ts";
import type { SiteName } from "./sites.ts";

/** Options of `LanguageModel.run`. */
export interface RunOptions {
  /** Sites whose values the result holds, as they are after any edits. Unknown names throw before anything runs. */
  readonly capture?: readonly (SiteName | (string & {}))[] | undefined;
  /** Changes to the forward pass. */
  readonly edits?: readonly SiteEdit[] | undefined;
  /** `"all"` positions (the default), the `"last"` one, or `"none"`: then the pass stops after the last site asked for. */
  readonly logits?: LogitsWanted | undefined;
  /** Earlier positions; the run reads them and adds its own. */
  readonly cache?: KvCache | undefined;
  /**
   * Where rows that are shorter than the longest are padded; without it all must have one length. Context positions count from each
   * row's own first token and nobody sees padding, so that a row's values at its tokens are what they are without the others. What
   * tensors hold at padding means nothing: of a row of n tokens, those of `"right"` are the first n places of the `pos` axis, those
   * of `"left"` the last n. With a cache, the first run may be padded on the left, and the cache remembers.
   */
  readonly padding?: "left" | "right" | undefined;
  /** Tokens of each whole sequence that are the prompt, for edits of one part; all of them if left out. */
  readonly promptLengths?: readonly number[] | undefined;
  /** What edits know each row by, where it is not its place: of a batch that goes on without some of its rows. */
  readonly rowIndices?: readonly number[] | undefined;
}

/** What a run leaves on the device. Whoever asked for the run disposes it, or runs it inside `device.scope` and returns it. */
export interface RunResult extends Disposable {
  /** `[batch, pos, vocabulary]`; pos is 1 for `"last"`; null for `"none"`. */
  readonly logits: Tensor | null;
  /** By site. */
  readonly captured: ReadonlyMap<string, Tensor>;
  dispose(): void;
}

/** A {@link RunResult} of what a run left. */
export function runResult(logits: Tensor | null, captured: ReadonlyMap<string, Tensor>): RunResult {
  const dispose = () => {
    logits?.dispose();
    for (const tensor of captured.values()) tensor.dispose();
  };
  return { logits, captured, dispose, [Symbol.dispose]: dispose };
}
