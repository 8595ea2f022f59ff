import { type LongCallOptions, type OnProgress, throwIfAborted } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { entities as entityTable, type WorldDocument } from "@latentkit/worlds";
import { chatMarks } from "./checks/chat.ts";
import { planChecks } from "./plan.ts";
import type { CheckResult, Evaluation } from "./result.ts";
import { type EvaluationSizes, quickSizes, thoroughSizes } from "./sizes.ts";

/** Options of {@link evaluateTiny}. */
export interface EvaluateTinyOptions extends LongCallOptions {
  /** Of the choice of questions, the draws and the bootstrap; 0 by default. */
  readonly seed?: number | undefined;
  /** The worlds' seed, which decides who is who; 1 by default. */
  readonly worldSeed?: number | undefined;
  /** The sizes of a final table, the checks that take longer among them; off by default. */
  readonly thorough?: boolean | undefined;
  /** Other sizes than those. */
  readonly sizes?: Partial<EvaluationSizes> | undefined;
  /** Documents for the validation loss by world, in place of newly generated ones. */
  readonly documents?: ReadonlyMap<string, readonly Pick<WorldDocument, "text">[]> | undefined;
}

/**
 * What a model that was trained on the worlds can do, with intervals: recall of facts, behaviour when asked in chats, format, comparisons,
 * copying, binding, induction and loss by world. No check shows a document of training: questions are
 * generated anew, and validation documents come from other seeds over the same entities.
 *
 * @throws ConfigError `TOKENIZER_MISSING`, `CHAT_MARKS_MISSING`; AbortedError
 */
export async function evaluateTiny(
  model: LanguageModel,
  {
    seed = 0,
    worldSeed = 1,
    thorough = false,
    sizes: given = {},
    documents,
    signal,
    onProgress,
  }: EvaluateTinyOptions = {},
): Promise<Evaluation> {
  const started = performance.now();
  const sizes = { ...(thorough ? thoroughSizes : quickSizes), ...given };
  // Before any work: most checks are of chats.
  chatMarks(model);
  const entities = entityTable({ seed: worldSeed });
  const checks: CheckResult[] = [];
  for (const { name, run } of planChecks({ model, seed, sizes, entities, documents, thorough })) {
    throwIfAborted(signal, "no results were kept");
    const named: OnProgress | undefined =
      onProgress === undefined ? undefined : (event) => onProgress({ ...event, stage: name });
    // eslint-disable-next-line no-await-in-loop -- one check at a time has the machine
    checks.push(...(await run({ signal, onProgress: named })));
  }
  return {
    schemaVersion: 1,
    model: model.identity(),
    seed,
    worldSeed,
    thorough,
    seconds: (performance.now() - started) / 1000,
    checks,
  };
}

/** Values by name, for training's metrics: `facts/known/choice`. */
export function figuresOf({
  checks,
}: Pick<Evaluation, "checks">): Readonly<Record<string, number>> {
  return Object.fromEntries(checks.map(({ name, value }) => [name, value]));
}
