import { AbortedError, LatentkitError } from "@latentkit/core";
import { z } from "zod";

/** A refusal in HTTP's terms. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = "HttpError";
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** An error as OpenAI's clients expect it. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string;
    readonly param: string | null;
  };
}

/** The status and body for whatever went wrong: what the caller gave wrong is a 400, and what we did a 500. */
export function errorAnswer(error: unknown): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
} {
  if (error instanceof HttpError) {
    return answer(error.status, error.code, error.message, null, error.headers);
  }
  if (error instanceof z.ZodError) {
    const [first] = error.issues;
    const message = error.issues
      .map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`)
      .join("; ");
    return answer(400, "invalid_request", message, first?.path.join(".") || null);
  }
  if (LatentkitError.isInstance(error)) {
    const status = error instanceof AbortedError ? 499 : 400;
    return answer(status, error.code, `${error.message}; ${error.fix}`, error.where ?? null);
  }
  // What happened inside is not for the network.
  return answer(500, "internal_error", "the server failed; its log has the reason", null);
}

function answer(
  status: number,
  code: string,
  message: string,
  param: string | null,
  headers: Readonly<Record<string, string>> = {},
) {
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  return { status, headers, body: { error: { message, type, code, param } } };
}
