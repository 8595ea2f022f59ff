import type { LanguageModel } from "@latentkit/models";
import type { SuiteDocuments } from "../../documents.ts";
import { JobFolder } from "../job-record.ts";
import { asJson } from "../json.ts";
import { packageVersions } from "../versions.ts";
import type { Comparison } from "../../compare/config.ts";
import { type ComparedSae, siteOf, trainingOf } from "../../compare/plan.ts";

/** Kinds of jobs that an SAE of a comparison has. */
export type CompareJobKind = "evaluate" | "train" | "tune";

/** The folders of a comparison's jobs, each with everything that its result depends on. */
export class CompareJobs {
  readonly #comparison: Comparison;
  readonly #common: Readonly<Record<string, unknown>>;
  readonly #out: string;

  constructor(
    comparison: Comparison,
    model: LanguageModel,
    documents: SuiteDocuments,
    out: string,
  ) {
    this.#comparison = comparison;
    this.#out = out;
    const { architecture, weightsHash } = model.identity();
    const { contextSize, prependBos, maxTokens, heldOut, seed, contextsPerRun } = comparison;
    this.#common = {
      model: { architecture, weightsHash },
      text: documents.identity,
      harvest: {
        site: siteOf(comparison),
        tokenizer: model.tokenizer?.identity ?? null,
        contextSize,
        prependBos,
        maximumTokens: maxTokens,
        heldOut,
        seed,
        batchSize: contextsPerRun,
      },
      versions: packageVersions(),
    };
  }

  /** The activations. */
  harvest(): JobFolder {
    return new JobFolder(this.#out, "harvest", asJson(this.#common));
  }

  /** A job of an SAE. An evaluation also depends on how the losses are measured. */
  of(kind: CompareJobKind, sae: ComparedSae): JobFolder {
    const training = trainingOf(this.#comparison, sae);
    const inputs = { ...this.#common, training };
    const { spliceContexts } = this.#comparison;
    return kind === "evaluate"
      ? new JobFolder(
          this.#out,
          `evaluate/${sae.id}`,
          asJson({ ...inputs, evaluation: { spliceContexts } }),
        )
      : new JobFolder(this.#out, sae.id, asJson(inputs));
  }
}
