/** What decides which sites a model has; see `SiteTable`. */
export interface BlockLayout {
  /**
   * Where a block has norms: `"before"` attention and MLP (`ln1`, `ln2`), `"after"` them (the same names, OLMo 2), or `"both"`
   * (`ln1_post` and `ln2_post` after them, Gemma).
   */
  readonly norms: "before" | "after" | "both";
  /** Whether positions are rotary, or learned and added to the embedding. */
  readonly positions: "rotary" | "learned";
  /** Norms of queries and keys: over each head, over the whole width, or none. */
  readonly queryKeyNorm: "head" | "width" | null;
  /** Whether the MLP has a gate. */
  readonly gated: boolean;
  /** Whether attention and MLP read the same residual stream, so that there is none in between. */
  readonly parallel: boolean;
}
