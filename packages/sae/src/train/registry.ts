import { ConfigError } from "@latentkit/core";
import { absTopK } from "../architectures/abs-topk.ts";
import { batchTopK } from "../architectures/batch-topk.ts";
import { batchTopKCrosscoder, crosscoder } from "../architectures/crosscoder.ts";
import { gated } from "../architectures/gated.ts";
import { jumpRelu } from "../architectures/jumprelu.ts";
import { jumpReluTanh } from "../architectures/jumprelu-tanh.ts";
import { matchingPursuit } from "../architectures/matching-pursuit.ts";
import { matryoshkaBatchTopK } from "../architectures/matryoshka-batch-topk.ts";
import { pAnneal } from "../architectures/p-anneal.ts";
import { standard } from "../architectures/standard.ts";
import { topK } from "../architectures/topk.ts";
import type { TrainConfig } from "./config.ts";
import type { TrainingArchitecture } from "./training-architecture.ts";

type BuiltIn = Exclude<TrainConfig["architecture"], "custom">;

const builtIn: Readonly<Record<BuiltIn, TrainingArchitecture>> = {
  abstopk: absTopK,
  batchtopk: batchTopK,
  batchtopk_crosscoder: batchTopKCrosscoder,
  crosscoder,
  gated,
  jumprelu: jumpRelu,
  jumprelu_tanh: jumpReluTanh,
  matching_pursuit: matchingPursuit,
  matryoshka_batchtopk: matryoshkaBatchTopK,
  p_anneal: pAnneal,
  standard,
  topk: topK,
};

/** All architectures that `trainSae` knows by itself, by SAELens's names where it has them, sorted by name. */
export const trainingArchitectures: readonly TrainingArchitecture[] = Object.values(builtIn);

/**
 * The architecture of a configuration, among ours and the caller's.
 *
 * @throws ConfigError `TRAIN_ARCHITECTURE_UNKNOWN` for a custom one that `own` does not hold
 */
export function trainingArchitectureOf(
  config: TrainConfig,
  own: readonly TrainingArchitecture[] = [],
): TrainingArchitecture {
  if (config.architecture !== "custom") return builtIn[config.architecture];
  const found = own.find(({ name }) => name === config.name);
  if (found !== undefined) return found;
  const given = own.map(({ name }) => name).join(", ") || "none";
  throw new ConfigError({
    code: "TRAIN_ARCHITECTURE_UNKNOWN",
    message: `the configuration names the custom architecture "${config.name}"; given were: ${given}`,
    fix: "pass the architecture to trainSae as architectures, under the name that the configuration has",
  });
}
