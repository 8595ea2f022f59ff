import { AbortedError, ConfigError, IoError, throwIfAborted } from "@latentkit/core";
import { z } from "zod";
import { chatAnswerSchema, errorAnswerSchema } from "../schema/answers.ts";
import { RateLimit } from "./rate-limit.ts";
import type { ChatTurn, Reply, RespondOptions, Responder } from "./responder.ts";
import { retryAfter, TryAgain, withRetries } from "./retry.ts";
import { splitReasoning } from "./split-reasoning.ts";

/** Options of {@link chatClient}. */
export interface ChatClientOptions {
  /** Up to and with `/v1`, for example `http://127.0.0.1:8000/v1`. */
  readonly baseUrl: string;
  /** As the server calls it. */
  readonly model: string;
  /** Sent as `Authorization: Bearer`; none by default. */
  readonly apiKey?: string | undefined;
  /** Seconds for one answer; 180 by default. */
  readonly timeout?: number | undefined;
  /** Tries for one answer; 5 by default. */
  readonly tries?: number | undefined;
  /** Seconds before the second try, which double from try to try; 1 by default. */
  readonly firstWait?: number | undefined;
  /** Requests that begin a minute; no limit by default. */
  readonly perMinute?: number | undefined;
  /** Requests at once; 4 by default. */
  readonly atOnce?: number | undefined;
  /** Other fields of every request, as they are. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

const optionsSchema = z.object({
  baseUrl: z.url({ protocol: /^https?$/u }),
  model: z.string().min(1),
  timeout: z.number().positive().default(180),
  tries: z.int().positive().default(5),
  firstWait: z.number().nonnegative().default(1),
  perMinute: z.number().positive().nullable().default(null),
  atOnce: z.int().positive().default(4),
});

/** Bytes of an answer at most: beyond that it is not one. */
const answerLimit = 64 * 2 ** 20;

/**
 * Asks an OpenAI-compatible chat endpoint (vLLM, llama.cpp, Ollama, OpenAI, `latentkit serve`). Each answer is a request of its own,
 * since many servers ignore `n`. Requests that were refused for their number, timed out, broke off or met a fault of the server are
 * tried again, after the wait that the server asks for; so are empty answers. Fields that a server refuses by name (`temperature`,
 * `top_p`, `seed`, `max_tokens`, which becomes `max_completion_tokens`) are left out from then on, and {@link Reply.sent} says what was
 * sent.
 *
 * @throws ConfigError `CHAT_CLIENT`; from `sample` IoError `CHAT_REFUSED`, `CHAT_FAILED`, AbortedError
 *
 * @example
 * const judge = chatClient({ baseUrl: "http://127.0.0.1:8000/v1", model: "tiny" });
 * const [reply] = await judge.sample([{ role: "user", content: "Yes or no?" }], { temperature: 0 });
 */
export function chatClient(options: ChatClientOptions): Responder {
  const parsed = optionsSchema.safeParse(options);
  if (!parsed.success) {
    throw new ConfigError({
      code: "CHAT_CLIENT",
      message: parsed.error.issues
        .map((issue) => `${issue.path.join(".")}: ${issue.message}`)
        .join("; "),
      fix: 'give a baseUrl such as "http://127.0.0.1:8000/v1" and the name of a model that it has',
    });
  }
  const settings = { ...options, ...parsed.data };
  const { baseUrl, model, tries, firstWait } = settings;
  const url = `${baseUrl.replace(/\/+$/u, "")}/chat/completions`;
  const limit = new RateLimit(settings.perMinute, settings.atOnce);
  const refused = new Set<string>();

  async function ask(
    messages: readonly ChatTurn[],
    fields: Readonly<Record<string, unknown>>,
    signal: AbortSignal | undefined,
  ): Promise<Reply> {
    const sent = withoutRefused(fields, refused);
    const { status, text, after } = await post(
      url,
      { model, messages, ...sent, ...settings.extra },
      { ...settings, signal },
    );
    const answer = parseJson(text);
    const fault = errorAnswerSchema.safeParse(answer);
    if (status === 200 && !fault.success) return readReply(answer, { url, model, sent });
    const message = fault.success ? messageOf(fault.data) : text.slice(0, 300);
    const field = status === 400 ? refusedField(message, sent) : null;
    if (field !== null) {
      refused.add(field);
      return ask(messages, fields, signal);
    }
    const what = `${url} answered ${status}: ${message}`;
    if (status === 408 || status === 409 || status === 429 || status >= 500 || status === 200)
      throw new TryAgain(what, after);
    throw new IoError({
      code: "CHAT_REFUSED",
      message: what,
      fix:
        status === 401 || status === 403
          ? "give the API key that this server wants"
          : "correct the request: the model's name, the length of the conversation, the options",
      where: url,
    });
  }

  async function one(
    messages: readonly ChatTurn[],
    fields: Readonly<Record<string, unknown>>,
    signal: AbortSignal | undefined,
  ): Promise<Reply> {
    try {
      return await withRetries(() => limit.run(() => ask(messages, fields, signal), signal), {
        tries,
        firstWait,
        longestWait: 60,
        signal,
      });
    } catch (error) {
      if (!(error instanceof TryAgain)) throw error;
      throw new IoError({
        code: "CHAT_FAILED",
        message: `${tries} tries failed, the last with: ${error.message}`,
        fix: "see that the server is up and has the model, or allow fewer requests at once",
        where: url,
        cause: error,
      });
    }
  }

  return {
    name: `${model} at ${baseUrl}`,
    async sample(messages, { n = 1, signal, onProgress, ...rest }: RespondOptions = {}) {
      let done = 0;
      return Promise.all(
        Array.from({ length: n }, async (_, index) => {
          const reply = await one(messages, requestFields(rest, index), signal);
          onProgress?.({ stage: "ask", done: ++done, total: n, unit: "answers" });
          return reply;
        }),
      );
    },
  };
}

function requestFields(
  { temperature, topP, maxTokens, seed, stop }: RespondOptions,
  index: number,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries({
      temperature,
      top_p: topP,
      max_tokens: maxTokens,
      seed: seed === undefined ? undefined : seed + index,
      stop,
    }).filter(([, value]) => value !== undefined),
  );
}

/** Fields that some servers do not take, and that an answer can do without. */
const dispensable = ["temperature", "top_p", "seed", "max_completion_tokens", "max_tokens"];

/** A field of the request that the server's message names as the trouble. */
function refusedField(message: string, sent: Readonly<Record<string, unknown>>): string | null {
  if (
    !/unsupported|not supported|unknown|unrecognized|not allowed|does not support/iu.test(message)
  )
    return null;
  return (
    dispensable.find((field) => field in sent && new RegExp(`\\b${field}\\b`, "u").test(message)) ??
    null
  );
}

function withoutRefused(
  fields: Readonly<Record<string, unknown>>,
  refused: ReadonlySet<string>,
): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!refused.has(name)) kept[name] = value;
    // Newer servers take the limit under another name.
    else if (name === "max_tokens" && !refused.has("max_completion_tokens"))
      kept["max_completion_tokens"] = value;
  }
  return kept;
}

function readReply(
  answer: unknown,
  { url, model, sent }: { readonly url: string; readonly model: string; readonly sent: object },
): Reply {
  const parsed = chatAnswerSchema.safeParse(answer);
  if (!parsed.success) throw new TryAgain(`${url} sent no chat completion`, null, parsed.error);
  const { choices, usage } = parsed.data;
  const [choice] = choices;
  const own = choice?.message.reasoning_content ?? choice?.message.reasoning ?? null;
  const split = splitReasoning(choice?.message.content ?? "");
  const finish = choice?.finish_reason ?? "stop";
  const reasoning = own ?? split.reasoning;
  if (split.text === "" && finish !== "length")
    throw new TryAgain(`${url} sent an empty answer`, null);
  return {
    text: split.text,
    reasoning,
    finish,
    usage: {
      promptTokens: usage?.prompt_tokens ?? 0,
      completionTokens: usage?.completion_tokens ?? 0,
    },
    model: parsed.data.model ?? model,
    sent: { ...sent },
  };
}

interface PostSettings {
  readonly timeout: number;
  readonly apiKey?: string | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Sends JSON and reads the answer as text. Throws TryAgain where the network fails, AbortedError after the signal. */
async function post(
  url: string,
  body: object,
  { timeout, apiKey, signal, fetch = globalThis.fetch }: PostSettings,
): Promise<{ readonly status: number; readonly text: string; readonly after: number | null }> {
  const late = AbortSignal.timeout(timeout * 1000);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify(body),
      // A key must not follow to wherever a server points.
      redirect: "error",
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    const after = retryAfter(response.headers.get("retry-after"));
    return { status: response.status, text: await limitedText(response), after };
  } catch (cause) {
    throwIfAborted(signal, "no answer is kept");
    if (cause instanceof AbortedError || cause instanceof TryAgain) throw cause;
    const why = late.aborted ? `no answer within ${timeout} s` : String(causeOf(cause));
    throw new TryAgain(`${url}: ${why}`, null, cause);
  }
}

async function limitedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  if (response.body === null) return text;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const chunk = part.value;
    text += decoder.decode(chunk, { stream: true });
    if (text.length > answerLimit)
      throw new TryAgain(`the answer is larger than ${answerLimit} characters`, null);
  }
  return text + decoder.decode();
}

/** What is under a failed fetch: the reason, where there is one. */
function causeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  return error.cause instanceof Error ? error.cause.message : error.message;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function messageOf({ error }: z.output<typeof errorAnswerSchema>): string {
  return typeof error === "string" ? error : error.message;
}
