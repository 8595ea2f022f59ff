/** How the training of one or several SAEs went. Plain JSON; `trainSaes` of `@latentkit/sae` gives what it is made of. */
export interface TrainingReport {
  /** For example the configuration's name. */
  readonly title: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** The command that made it; null for none. */
  readonly command: string | null;
  /** What was trained on: model, text, sites, in the order in which they are shown. */
  readonly facts: readonly TrainingFact[];
  readonly saes: readonly TrainingReportSae[];
}

/** A name and what it stands for. */
export interface TrainingFact {
  readonly name: string;
  readonly value: string;
}

/** One SAE. */
export interface TrainingReportSae {
  readonly name: string;
  /** Where in the model its activations are from. */
  readonly site: string;
  readonly architecture: string;
  readonly width: number;
  /** `"stopped"` was given up, see `reason`; `"unfinished"` had not come to its end. */
  readonly status: "stopped" | "trained" | "unfinished";
  /** What went wrong; null for nothing. */
  readonly reason: string | null;
  /** Activations to be presented in all. */
  readonly planned: number;
  readonly presentations: number;
  /** Different activations that the source has. */
  readonly uniqueTokens: number;
  readonly points: readonly TrainingReportPoint[];
  /** Learning rate and lambda over the run, as planned; empty where they are not known. */
  readonly schedule: readonly SchedulePoint[];
  /** The settings in words: warm-ups, decay, when a latent counts as dead. */
  readonly settings: readonly TrainingFact[];
  /** Whether the SAE had settled, in a sentence; null where that is not known. */
  readonly stability: string | null;
}

/** An evaluation during training. */
export interface TrainingReportPoint {
  readonly presentations: number;
  readonly loss: number;
  readonly l0: number;
  readonly fvu: number;
  readonly heldOutL0: number;
  readonly heldOutFvu: number;
  readonly denseCount: number;
  readonly deadCount: number;
}

/** Planned values of one step. */
export interface SchedulePoint {
  readonly presentations: number;
  readonly learningRate: number;
  /** lambda; null for kinds without one. */
  readonly sparsity: number | null;
}
