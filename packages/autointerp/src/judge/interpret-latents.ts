import {
  AbortedError,
  ConfigError,
  LatentkitError,
  type LongCallOptions,
  Random,
  throwIfAborted,
} from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { Responder } from "@latentkit/openai-api";
import { bootstrapInterval, type Interval } from "@latentkit/sae";
import { z } from "zod";
import type { GatheredExamples } from "../gather/gather-examples.ts";
import { type AnswerLog, memoryAnswers } from "./answer-log.ts";
import { chooseExamples, type ChosenExamples, derangement } from "./choose-examples.ts";
import { explainLatent } from "./explain-latent.ts";
import type {
  ExplanationScores,
  Interpretation,
  InterpretedLatent,
  ScoreSummary,
} from "./interpretation-result.ts";
import { Judge, type Verdict } from "./judge.ts";
import { promptVersion } from "./prompts.ts";
import { type ScoreKind, scoreExplanation } from "./score-explanation.ts";

/** Whom to ask, about what. */
export interface InterpretOptions extends LongCallOptions {
  readonly examples: GatheredExamples;
  readonly tokenizer: Tokenizer;
  /** Who scores, and explains unless there is an explainer: `chatClient` of `@latentkit/openai-api`, say. */
  readonly judge: Responder;
  /** Who explains. */
  readonly explainer?: Responder | undefined;
  /** Of those that were gathered; all by default. */
  readonly latents?: readonly number[] | undefined;
  /** Explanations to score as they are, by latent: for these nobody is asked to explain. */
  readonly explanations?: ReadonlyMap<number, string> | undefined;
  /** Tokens that latents promote, by latent, to be told to the explainer. */
  readonly promoted?: ReadonlyMap<number, readonly string[]> | undefined;
  /** Answers of earlier runs, and where new ones go; in memory by default. */
  readonly log?: AnswerLog | undefined;
  /** Strongest windows to explain from; 10 by default. */
  readonly strongest?: number | undefined;
  /** Sampled windows to explain from; 10 by default. */
  readonly spread?: number | undefined;
  /** Windows of each class to score on; 20 by default. */
  readonly scored?: number | undefined;
  /** Windows in a question; 5 by default. */
  readonly batchSize?: number | undefined;
  /** Whether to score with other latents' explanations too; true by default, where there are two or more. */
  readonly shuffledNull?: boolean | undefined;
  /** Latents that are worked on at once; 4 by default. */
  readonly atOnce?: number | undefined;
  /** Times that an answer is asked for in the right shape; 3 by default. */
  readonly shapeTries?: number | undefined;
  /** Questions in a row that may fail, tries of the client included, before all is given up; 5 by default. */
  readonly failuresAllowed?: number | undefined;
  readonly temperature?: number | undefined;
  /** Tokens of an answer; 1,024 by default. */
  readonly maxTokens?: number | undefined;
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

const whole = z.int().positive();
const settingsSchema = z.object({
  strongest: whole.default(10),
  spread: z.int().nonnegative().default(10),
  scored: whole.default(20),
  batchSize: whole.default(5),
  atOnce: whole.default(4),
  shapeTries: whole.default(3),
  failuresAllowed: whole.default(5),
  temperature: z.number().nonnegative().default(0),
  maxTokens: whole.default(1024),
  resamples: whole.default(1000),
  seed: z.int().default(0),
});

type Settings = z.infer<typeof settingsSchema>;

/**
 * Explains latents by a language model and scores the explanations (Paulo et al., 2410.13928): by detection (which windows does it
 * fire in?) and fuzzing (are the right tokens marked?), in balanced accuracy with intervals, beside the same scores with explanations
 * exchanged among latents.
 *
 * Windows that were explained from are not scored on. Every answer is kept in the log before it is used, so that a run that was stopped
 * asks only what is left. A question that fails for good (after the client's own retries) or is never answered in the right shape is
 * reported as such and counts for nothing; failures in a row end the run.
 *
 * Explanations and windows are text of models and corpora: show them escaped.
 *
 * @throws ConfigError `JUDGE_OPTION`; what the judge throws where failures do not end; AbortedError
 *
 * @example
 * const judge = chatClient({ baseUrl: "http://127.0.0.1:8000/v1", model: "judge" });
 * const { latents, summary } = await interpretLatents({ examples, tokenizer, judge });
 */
export async function interpretLatents(options: InterpretOptions): Promise<Interpretation> {
  const { examples, judge: responder, explainer = responder, signal } = options;
  const settings = settingsOf(options);
  const latents = latentsOf(options);
  const log = options.log ?? memoryAnswers();
  const common = { log, signal, ...settings };
  const judge = new Judge({ responder, ...common });
  const explaining =
    explainer === responder ? judge : new Judge({ responder: explainer, ...common });
  const work = new Work(options, settings, judge, explaining);

  const explained = await work.all(latents, "explain", (latent) => work.explain(latent));
  const ready = explained.filter(isExplained);
  const others =
    options.shuffledNull !== false && ready.length > 1
      ? derangement(ready.length, new Random(settings.seed, nullStream))
      : null;
  const scored = new Map<number, Pick<InterpretedLatent, "scores" | "shuffled">>();
  await work.all([...ready.keys()], "score", async (place) => {
    const own = ready[place];
    if (own === undefined) return;
    const other = others === null ? undefined : ready[others[place] ?? 0];
    const scores = await work.score(own.explanation, own);
    const shuffled =
      other === undefined
        ? null
        : { ...(await work.score(other.explanation, own)), from: other.latent };
    scored.set(own.latent, { scores, shuffled });
  });
  const results = explained.map(({ latent, explanation, failure }): InterpretedLatent => ({
    latent,
    density: (examples.latents.get(latent)?.firedTokens ?? 0) / Math.max(1, examples.tokens),
    explanation,
    failure,
    ...(scored.get(latent) ?? { scores: null, shuffled: null }),
  }));
  const costs = [...new Set([judge, explaining])].map((each) => each.cost());
  const total = (name: keyof (typeof costs)[number]): number =>
    costs.reduce((sum, cost) => sum + cost[name], 0);
  return {
    kind: "latentkit.interpretation",
    schemaVersion: 1,
    sae: examples.header.sae,
    site: examples.header.site,
    explainer: explainer.name,
    judge: responder.name,
    promptVersion,
    seed: settings.seed,
    latents: results,
    summary: {
      detection: summaryOf(results, "detection", settings),
      fuzzing: summaryOf(results, "fuzzing", settings),
    },
    cost: {
      requests: total("requests"),
      reused: total("reused"),
      promptTokens: total("promptTokens"),
      completionTokens: total("completionTokens"),
      unreadable: total("unreadable"),
    },
  };
}

/** Keeps the null's random numbers apart from those of latents. */
const nullStream = 0xffff_fffe;

interface Explained {
  readonly latent: number;
  readonly chosen: ChosenExamples;
  readonly explanation: string | null;
  readonly failure: string | null;
}

function isExplained(each: Explained): each is Explained & { readonly explanation: string } {
  return each.explanation !== null;
}

/** The steps of one run. */
class Work {
  readonly #options: InterpretOptions;
  readonly #settings: Settings;
  readonly #judge: Judge;
  readonly #explainer: Judge;
  #failures = 0;

  constructor(options: InterpretOptions, settings: Settings, judge: Judge, explainer: Judge) {
    this.#options = options;
    this.#settings = settings;
    this.#judge = judge;
    this.#explainer = explainer;
  }

  /** Works on some at once; results are in the order of the list. The first fault ends all. */
  async all<T, R>(list: readonly T[], stage: string, step: (item: T) => Promise<R>): Promise<R[]> {
    const results = new Map<number, R>();
    let next = 0;
    let fault: { readonly error: unknown } | null = null;
    const worker = async (): Promise<void> => {
      while (fault === null) {
        const place = next++;
        const item = list[place];
        if (item === undefined) return;
        try {
          throwIfAborted(this.#options.signal, "all answers so far are in the log");
          results.set(place, await step(item));
        } catch (error) {
          fault ??= { error };
          return;
        }
        this.#options.onProgress?.({
          stage,
          done: results.size,
          total: list.length,
          unit: "latents",
        });
      }
    };
    await Promise.all(Array.from({ length: this.#settings.atOnce }, worker));
    // The workers may have set it, which control flow analysis does not see.
    const found = fault as { readonly error: unknown } | null;
    if (found !== null) throw found.error;
    return [...list.keys()].flatMap((place) => {
      const result = results.get(place);
      return result === undefined ? [] : [result];
    });
  }

  async explain(latent: number): Promise<Explained> {
    const { examples, tokenizer, explanations, promoted } = this.#options;
    const found = examples.latents.get(latent);
    const empty: ChosenExamples = { explained: [], active: [], silent: [] };
    if (found === undefined || found.firedWindows === 0)
      return { latent, chosen: empty, explanation: null, failure: "it never fired on this text" };
    const chosen = chooseExamples(found, examples.background, this.#settings);
    const given = explanations?.get(latent);
    if (given !== undefined) return { latent, chosen, explanation: given, failure: null };
    const verdict = await this.attempt(() =>
      explainLatent(this.#explainer, tokenizer, chosen.explained, promoted?.get(latent)),
    );
    return verdict.ok
      ? { latent, chosen, explanation: verdict.value, failure: null }
      : { latent, chosen, explanation: null, failure: `${verdict.reason}: ${verdict.message}` };
  }

  async score(explanation: string, { latent, chosen }: Explained): Promise<ExplanationScores> {
    const one = (kind: ScoreKind) =>
      scoreExplanation(explanation, latent, chosen, {
        ...this.#settings,
        kind,
        judge: this.#judge,
        tokenizer: this.#options.tokenizer,
        attempt: (question) => this.attempt(question),
      });
    return { detection: await one("detection"), fuzzing: await one("fuzzing") };
  }

  /** A question whose failure is a verdict, until too many fail in a row. */
  async attempt<T>(question: () => Promise<Verdict<T>>): Promise<Verdict<T>> {
    try {
      const verdict = await question();
      this.#failures = 0;
      return verdict;
    } catch (error) {
      const known =
        LatentkitError.isInstance(error) &&
        (error.code === "CHAT_FAILED" || error.code === "CHAT_REFUSED");
      if (!known || error instanceof AbortedError) throw error;
      this.#failures += 1;
      if (this.#failures >= this.#settings.failuresAllowed) throw error;
      return { ok: false, reason: "failed", message: `${error.code}: ${error.message}` };
    }
  }
}

function summaryOf(
  latents: readonly InterpretedLatent[],
  kind: ScoreKind,
  options: { readonly resamples: number; readonly seed: number },
): ScoreSummary {
  const own = latents.flatMap(({ scores }) => scores?.[kind]?.balancedAccuracy ?? []);
  const pairs = latents.flatMap(({ scores, shuffled }) => {
    const [mine, other] = [scores?.[kind]?.balancedAccuracy, shuffled?.[kind]?.balancedAccuracy];
    return mine === undefined || mine === null || other === undefined || other === null
      ? []
      : [{ other, gain: mine - other }];
  });
  const gains = pairs.map(({ gain }) => gain);
  return {
    latents: own.length,
    mean: meanOf(own),
    interval: intervalOf(own, options),
    shuffledMean: meanOf(pairs.map(({ other }) => other)),
    gain: meanOf(gains),
    gainInterval: intervalOf(gains, options),
  };
}

function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function intervalOf(
  values: readonly number[],
  options: { readonly resamples: number; readonly seed: number },
): Interval | null {
  return bootstrapInterval(
    values.length,
    (draws) => {
      const sum = values.reduce((total, value, at) => total + (draws[at] ?? 0) * value, 0);
      return sum / values.length;
    },
    options,
  );
}

function settingsOf(options: InterpretOptions): Settings {
  const parsed = settingsSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw optionError(
    parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
  );
}

function latentsOf({ latents, examples }: InterpretOptions): readonly number[] {
  const wanted = latents ?? [...examples.latents.keys()];
  const missing = wanted.find((latent) => !examples.latents.has(latent));
  if (wanted.length > 0 && missing === undefined) return [...new Set(wanted)];
  throw optionError(
    missing === undefined ? "no latents were given" : `latent ${missing} was not gathered`,
  );
}

function optionError(message: string): ConfigError {
  return new ConfigError({
    code: "JUDGE_OPTION",
    message,
    fix: "give latents that were gathered, and counts above 0",
  });
}
