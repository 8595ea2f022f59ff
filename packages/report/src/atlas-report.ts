/** Tokens or latents that passed a test, of those tested. */
export interface ReportShare {
  readonly passed: number;
  readonly tested: number;
}

/** A token of the vocabulary that a latent's decoder row pushes up or down. */
export interface ReportTokenScore {
  readonly id: number;
  readonly text: string;
  /** Standard deviations from the mean contribution over the vocabulary. */
  readonly score: number;
}

/** A stretch of text around one firing. */
export interface ReportContext {
  readonly kind: "top" | "sample";
  /** Quantile of the firing strengths near which a `"sample"` was drawn; null for `"top"`. */
  readonly quantile: number | null;
  readonly document: string;
  /** Position of the first shown token in its context. */
  readonly position: number;
  /** Index of the peak in `texts`. */
  readonly peak: number;
  readonly texts: readonly string[];
  readonly activations: readonly number[];
}

/** One dense latent. */
export interface ReportLatent {
  readonly latent: number;
  /** Share of unmasked tokens on which it fires, with a 95% interval from resampling documents. */
  readonly density: number;
  readonly low: number;
  readonly high: number;
  readonly maximum: number;
  readonly meanWhenActive: number;
  /** Antipodality, the partner that gives it, and both cosines to it. */
  readonly score: number;
  readonly partner: number | null;
  readonly encoderCosine: number;
  readonly decoderCosine: number;
  readonly mutual: boolean;
  /** The score when only partners with both cosines negative count. */
  readonly negativeScore: number;
  /** Share of tokens on which latent and partner both fire, and what independence would give. */
  readonly coFiring: number | null;
  readonly coFiringExpected: number | null;
  /** Classes, in order of precedence; empty when labels are withheld. */
  readonly labels: readonly string[];
  readonly primary: string | null;
  readonly tests: {
    readonly pca: { readonly cosine: number; readonly passes: boolean };
    readonly nullspace: { readonly share: number; readonly passes: boolean };
    readonly alphabet: {
      readonly letter: string;
      readonly side: "promoted" | "suppressed";
      readonly purity: number;
      readonly k: number;
      /** Share of the vocabulary that starts with `letter`. */
      readonly baseRate: number;
      readonly passes: boolean;
    };
  };
  readonly promoted: readonly ReportTokenScore[];
  readonly suppressed: readonly ReportTokenScore[];
  readonly contexts: readonly ReportContext[];
}

/** One test, as it came out over latents, other latents and random directions. */
export interface ReportClass {
  readonly id: string;
  readonly name: string;
  /** The statistic and its cut-off, in words. */
  readonly test: string;
  readonly dense: ReportShare;
  /** Antipodal pairs with a member that passes: members are not independent samples. */
  readonly pairs: number;
  /** False positives: the same test on latents that are not dense, and on random directions. */
  readonly sparse: ReportShare;
  readonly random: ReportShare;
}

/** A figure of the SAE, with its interval where there is one. */
export interface ReportMetric {
  readonly id: string;
  readonly name: string;
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly unit: string;
  readonly note: string;
}

/** Distribution of the antipodality score over random weights. */
export interface ReportNull {
  readonly mean: number;
  readonly median: number;
  /** 99.9% of random latents score below. */
  readonly high: number;
}

/** How training went; what decides whether labels may be given. */
export interface ReportTraining {
  readonly recipe: string;
  readonly uniqueTokens: number;
  readonly presentations: number;
  readonly points: readonly {
    readonly presentations: number;
    readonly l0: number;
    readonly fvu: number;
    readonly denseCount: number;
  }[];
}

/** Everything an atlas found, as JSON: what `result.json` holds and {@link renderAtlas} draws. `@latentkit/taxonomy` makes it. */
export interface AtlasReport {
  readonly kind: "latentkit.atlas";
  readonly schemaVersion: 1;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly command: string | null;
  readonly versions: Readonly<Record<string, string>>;
  readonly seed: number;
  /** Every setting that shaped the result. */
  readonly config: Readonly<Record<string, number | string | boolean | null>>;
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly weightsHash: string;
    readonly layers: number;
    readonly dModel: number;
    readonly vocabulary: number;
  };
  readonly site: { readonly name: string; readonly layer: number | null };
  readonly sae: {
    readonly identity: string;
    readonly architecture: string;
    readonly dIn: number;
    readonly dSae: number;
    readonly k: number | null;
    readonly recipe: string | null;
  };
  readonly corpus: {
    readonly name: string;
    readonly split: string;
    readonly documents: number;
    readonly contexts: number;
    /** Unmasked tokens: the denominator of every density. */
    readonly tokens: number;
    /** Masked tokens by reason. */
    readonly masked: Readonly<Record<string, number>>;
    readonly contextSize: number;
    readonly prependBos: boolean;
    readonly hash: string;
  };
  readonly metrics: readonly ReportMetric[];
  readonly training: ReportTraining | null;
  /** `unverified`: labels are given, but nothing is known about how training ended. */
  readonly labelling: {
    readonly status: "given" | "withheld" | "unverified";
    readonly reason: string;
  };
  readonly density: {
    readonly threshold: number;
    readonly dense: number;
    /** Latents that never fired here; in no bin of the histogram. */
    readonly dead: number;
    /** Bins of log10 density. */
    readonly histogram: readonly {
      readonly low: number;
      readonly high: number;
      readonly count: number;
    }[];
  };
  readonly antipodality: {
    /** Score above which a latent is called antipodal. */
    readonly strong: number;
    readonly independentNull: ReportNull;
    readonly tiedNull: ReportNull;
    /** Dense latents above `strong`, and mutual pairs of two dense latents above it. */
    readonly strongDense: number;
    readonly strongPairs: number;
    /** By density bin: a correlation over all latents would be drowned by the sparse majority's noise. */
    readonly byDensity: readonly {
      readonly low: number;
      readonly high: number;
      readonly latents: number;
      readonly median: number;
    }[];
    /** All dense latents and a seeded sample of the others. */
    readonly points: readonly {
      readonly latent: number;
      readonly density: number;
      readonly score: number;
      readonly dense: boolean;
    }[];
    /** Encoder cosines of the densest latents. */
    readonly heatMap: {
      readonly latents: readonly number[];
      readonly cosines: readonly (readonly number[])[];
    };
  };
  readonly pca: { readonly cut: number; readonly explained: readonly number[] };
  readonly nullspace: {
    readonly k: number;
    readonly quantile: number;
    readonly cut: number;
    readonly singularValues: readonly number[];
    /** Shares alpha_k; `expected` is the chance that a random direction falls into the bin. */
    readonly histogram: readonly {
      readonly low: number;
      readonly high: number;
      readonly dense: number;
      readonly sparse: number;
      readonly expected: number;
    }[];
  };
  readonly alphabet: {
    readonly purity: number;
    readonly maximumTokens: number;
    /** Commonest letters of the vocabulary: the purity that a random direction gets. */
    readonly baseRates: readonly {
      readonly letter: string;
      readonly tokens: number;
      readonly rate: number;
    }[];
  };
  /** One entry a test, in order of precedence. */
  readonly classes: readonly ReportClass[];
  /** Densest first. */
  readonly latents: readonly ReportLatent[];
  /** Dense latents beyond `latents`, left out of the details. */
  readonly omitted: number;
}
