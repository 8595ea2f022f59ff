import type { LanguageModel } from "@latentkit/models";
import type { SuiteDocuments } from "../documents.ts";
import type { SuiteJob } from "../plan.ts";
import { type Suite, tokenLimit } from "../suite.ts";
import { asJson } from "./json.ts";
import { packageVersions } from "./versions.ts";

/**
 * Everything that a job's result depends on, its own settings and those of the jobs before it. What a model is called is not among
 * them, since that depends on the path that it was opened by.
 */
export function inputsOf(
  job: SuiteJob,
  suite: Suite,
  model: LanguageModel,
  documents: SuiteDocuments,
): unknown {
  const { architecture, weightsHash } = model.identity();
  const harvest = {
    site: job.hookName,
    tokenizer: model.tokenizer?.identity ?? null,
    contextSize: suite.contextSize,
    prependBos: suite.prependBos,
    maximumTokens: tokenLimit(suite),
    heldOut: suite.heldOut,
    seed: suite.seed,
    batchSize: suite.batchSize,
  };
  const common = {
    model: { architecture, weightsHash },
    text: documents.identity,
    harvest,
    versions: packageVersions(),
  };
  if (job.kind === "harvest") return asJson(common);
  const { recipe, width, sparsity, k, presentations, batchSize, seed } = job.sae;
  const training = { recipe, width, sparsity, k, presentations, batchSize, seed };
  if (job.kind === "train") return asJson({ ...common, training });
  const evaluation = { spliceContexts: suite.spliceContexts, seed: suite.seed };
  if (job.kind === "evaluate") return asJson({ ...common, training, evaluation });
  return asJson({ ...common, training, evaluation, release: suite.name });
}
