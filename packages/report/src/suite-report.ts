/** A suite of SAEs as `metrics.json` of `@latentkit/suite` has it. */
export interface SuiteReport {
  readonly name: string;
  readonly model: { readonly name: string; readonly architecture: string };
  readonly contextSize: number;
  /** SAEs that the suite has; there are fewer rows until all are done. */
  readonly planned: number;
  readonly rows: readonly SuiteReportRow[];
}

/** An SAE, and what was measured of it on held-out text. */
export interface SuiteReportRow {
  readonly site: string;
  readonly layer: number;
  readonly hookName: string;
  readonly architecture: string;
  readonly width: number;
  /** lambda; null where there is none. */
  readonly sparsity: number | null;
  readonly k: number | null;
  readonly seed: number;
  /** Folder, from the suite's own. */
  readonly path: string;
  readonly tokens: number;
  readonly l0: number;
  readonly fvu: number;
  readonly dead: number;
  readonly dense: number;
  readonly cleanLoss: number;
  readonly deltaLoss: number;
  readonly deltaLossInterval: readonly [number, number] | null;
  readonly lossRecovered: number | null;
  readonly densities: {
    /** log10 of shares of tokens, ascending; one more than there are counts. */
    readonly edges: readonly number[];
    readonly counts: readonly number[];
    readonly dead: number;
  };
}
