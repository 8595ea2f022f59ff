import { z } from "zod";

/** An answer of a judge, as it is kept. */
export interface LoggedAnswer {
  readonly text: string;
  readonly finish: string;
  /** As the judge calls itself. */
  readonly model: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/**
 * Answers by the hash of what was asked, so that nobody is asked twice: a run that was stopped goes on where it was, for nothing. See
 * `openAnswerFile` of the node entry.
 */
export interface AnswerLog {
  get(key: string): LoggedAnswer | undefined;
  /** Resolves once the answer is kept. */
  put(key: string, answer: LoggedAnswer): Promise<void>;
}

/** One line of an answer file. */
export const loggedAnswerSchema: z.ZodType<LoggedAnswer & { readonly key: string }> = z.object({
  key: z.string(),
  text: z.string(),
  finish: z.string(),
  model: z.string(),
  promptTokens: z.number(),
  completionTokens: z.number(),
});

/** Answers in memory. */
export function memoryAnswers(): AnswerLog {
  const answers = new Map<string, LoggedAnswer>();
  return {
    get: (key) => answers.get(key),
    put(key, answer) {
      answers.set(key, answer);
      return Promise.resolve();
    },
  };
}
