/**
 * What a fresh process does: only reads the file's bytes; loads the weights as f32, or as stored; or loads weights as stored and the
 * tokenizer.
 */
export const loadWays = ["read", "f32", "stored", "complete"] as const;

export type LoadWay = (typeof loadWays)[number];

/** What the process prints. */
export interface LoadRun {
  readonly seconds: number;
  /** Most that was resident, of the whole process. */
  readonly peakBytes: number;
}
