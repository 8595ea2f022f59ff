import type { LongCallOptions } from "@latentkit/core";

/** One turn of a conversation. */
export interface ChatTurn {
  readonly role: string;
  readonly content: string;
}

/** How to answer. What is left out is the answerer's default. */
export interface RespondOptions extends LongCallOptions {
  /** Answers; 1 if left out. */
  readonly n?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly maxTokens?: number | undefined;
  /** Answer i is drawn with seed + i, where the answerer takes seeds. */
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
}

/** One answer. */
export interface Reply {
  readonly text: string;
  /** What the model said to itself, where it is told apart from the answer; null otherwise. */
  readonly reasoning: string | null;
  /** `"stop"`, or `"length"` for an answer that was cut off and must not be read as whole; others as a server calls them. */
  readonly finish: string;
  /** Zeros where a server does not count. */
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number };
  /** Which model answered, as it calls itself. */
  readonly model: string;
  /** What was sent for this answer beside the messages: fields that a server refused are not in it. */
  readonly sent: Readonly<Record<string, unknown>>;
}

/** Whoever answers conversations: a server, a model in this process, a synthetic one in tests. */
export interface Responder {
  readonly name: string;
  sample(messages: readonly ChatTurn[], options?: RespondOptions): Promise<readonly Reply[]>;
}
