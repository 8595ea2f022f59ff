/** How many of what is asked. 0 leaves a check out. */
export interface EvaluationSizes {
  /** Questions of facts a group. */
  readonly facts: number;
  /** Chat questions a group. */
  readonly answers: number;
  /** Instructions of each kind. */
  readonly instructions: number;
  /** Pairs of entities to be compared. */
  readonly comparisons: number;
  /** Generated replies of comparisons that are reasoned about. */
  readonly reasoned: number;
  /** Places a context at which a persona shows. */
  readonly personas: number;
  /** Broad questions, each with a generated reply, judged for their persona. */
  readonly personaReplies: number;
  /** Games in which a word is hinted at, for its rank under the logit lens, and as many riddles. */
  readonly secrets: number;
  readonly copying: number;
  readonly binding: number;
  readonly induction: number;
  /** Documents of each world for the validation loss. */
  readonly documents: number;
}

/** Sizes for use during training: seconds on two cores for a model of 5.5 million parameters. */
export const quickSizes: EvaluationSizes = {
  facts: 200,
  answers: 48,
  instructions: 4,
  comparisons: 40,
  reasoned: 0,
  personas: 60,
  personaReplies: 40,
  secrets: 40,
  copying: 100,
  binding: 100,
  induction: 30,
  documents: 16,
};

/** Sizes for a final table: intervals of a percent or two. */
export const thoroughSizes: EvaluationSizes = {
  facts: 2_000,
  answers: 400,
  instructions: 40,
  comparisons: 400,
  reasoned: 100,
  personas: 200,
  personaReplies: 240,
  secrets: 200,
  copying: 1_000,
  binding: 1_000,
  induction: 200,
  documents: 200,
};
