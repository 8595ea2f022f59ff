import { hashBytes } from "@latentkit/loaders";
import type { ChatTurn, Responder } from "@latentkit/openai-api";
import type { z } from "zod";
import type { AnswerLog, LoggedAnswer } from "./answer-log.ts";
import { againPrompt, promptVersion } from "./prompts.ts";

/** Whom to ask, and how. */
export interface JudgeSettings {
  readonly responder: Responder;
  readonly log: AnswerLog;
  readonly temperature: number;
  readonly maxTokens: number;
  /** Times that an answer is asked for in the right shape. */
  readonly shapeTries: number;
  readonly signal?: AbortSignal | undefined;
}

/** What became of a question. */
export type Verdict<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      /** `"unreadable"` for answers that never came in the right shape (a refusal in words, say), `"failed"` where none came. */
      readonly reason: "failed" | "unreadable";
      /** The last answer, or what went wrong. */
      readonly message: string;
    };

/** What the questions cost. */
export interface JudgeCost {
  /** Answers that were asked for; those of the log are not counted. */
  readonly requests: number;
  readonly reused: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Answers that could not be read. */
  readonly unreadable: number;
}

/** Asks questions whose answers are JSON, keeps them, and counts. */
export class Judge {
  readonly settings: JudgeSettings;
  #requests = 0;
  #reused = 0;
  #promptTokens = 0;
  #completionTokens = 0;
  #unreadable = 0;

  constructor(settings: JudgeSettings) {
    this.settings = settings;
  }

  /**
   * Asks until the answer has the right shape, telling the judge what was wrong with the last one.
   *
   * @param shape in words, for the judge
   * @throws what the responder throws
   */
  async ask<T>(
    messages: readonly ChatTurn[],
    schema: z.ZodType<T>,
    shape: string,
  ): Promise<Verdict<T>> {
    const turns = [...messages];
    let last = "";
    for (let attempt = 0; attempt < this.settings.shapeTries; attempt++) {
      const answer = await this.#answer(turns);
      const found = readJson(answer, schema);
      if (found.ok) return found;
      this.#unreadable += 1;
      last = answer.text;
      turns.push(
        { role: "assistant", content: answer.text },
        { role: "user", content: againPrompt(found.problem, shape) },
      );
    }
    return { ok: false, reason: "unreadable", message: last };
  }

  cost(): JudgeCost {
    return {
      requests: this.#requests,
      reused: this.#reused,
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      unreadable: this.#unreadable,
    };
  }

  async #answer(messages: readonly ChatTurn[]): Promise<LoggedAnswer> {
    const { responder, log, temperature, maxTokens, signal } = this.settings;
    const key = hashBytes(
      JSON.stringify({ promptVersion, judge: responder.name, messages, temperature, maxTokens }),
    );
    const known = log.get(key);
    if (known !== undefined) {
      this.#reused += 1;
      return known;
    }
    const [reply] = await responder.sample(messages, { n: 1, temperature, maxTokens, signal });
    const answer: LoggedAnswer = {
      text: reply?.text ?? "",
      finish: reply?.finish ?? "stop",
      model: reply?.model ?? responder.name,
      promptTokens: reply?.usage.promptTokens ?? 0,
      completionTokens: reply?.usage.completionTokens ?? 0,
    };
    this.#requests += 1;
    this.#promptTokens += answer.promptTokens;
    this.#completionTokens += answer.completionTokens;
    await log.put(key, answer);
    return answer;
  }
}

type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

/** The last JSON value in an answer that fits: judges like to think aloud first, or to fence their answer. */
export function readJson<T>(
  { text, finish }: Pick<LoggedAnswer, "finish" | "text">,
  schema: z.ZodType<T>,
): Read<T> {
  // What was cut off must not be read as whole.
  if (finish === "length") return { ok: false, problem: "the answer was cut off before its end" };
  let problem = "there is no JSON in it";
  // An answer that is nothing but brackets must not keep us.
  let parses = 500;
  for (let end = text.length; end > 0; end--) {
    const close = text[end - 1];
    if (close !== "]" && close !== "}") continue;
    const open = close === "]" ? "[" : "{";
    for (let start = text.lastIndexOf(open, end - 1); start >= 0 && parses > 0; parses--) {
      const value = parse(text.slice(start, end));
      if (value !== undefined) {
        const parsed = schema.safeParse(value);
        if (parsed.success) return { ok: true, value: parsed.data };
        problem = parsed.error.issues[0]?.message ?? problem;
        break;
      }
      if (start === 0) break;
      start = text.lastIndexOf(open, start - 1);
    }
  }
  return { ok: false, problem };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
