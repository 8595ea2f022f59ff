import { ConfigError, IoError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { streamAnswer, wholeAnswer } from "./answer.ts";
import { checkAccess, isLoopbackHost } from "./check-access.ts";
import { chatCompletion, type Served, textCompletion, type Understood } from "./endpoints.ts";
import { EventStream } from "./event-stream.ts";
import { errorAnswer, HttpError } from "./http-error.ts";
import { readJsonBody } from "./read-body.ts";
import { WaitingLine } from "./waiting-line.ts";

/** Options of {@link serveModel}. */
export interface ServeModelOptions {
  /** Stays the caller's; it must have a tokenizer. */
  readonly model: LanguageModel;
  /** Under which `GET /v1/models` lists it; the model's own name by default. */
  readonly name?: string | undefined;
  /** Address to listen at; 127.0.0.1, this machine alone, by default. Any other needs a token. */
  readonly host?: string | undefined;
  /** 0, the default, takes a free one. */
  readonly port?: number | undefined;
  /** What clients must send as their API key; none by default. */
  readonly token?: string | undefined;
  /** Requests that may wait while one is answered; 64 by default. */
  readonly maxWaiting?: number | undefined;
  /** Bytes of a request at most; 8 MiB by default. */
  readonly maxBodyBytes?: number | undefined;
  /** Told of what clients are told as a 500, with its reason. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** A server that is up. */
export interface ModelServer extends AsyncDisposable {
  /** A client's base URL, for example `http://127.0.0.1:8000/v1`. */
  readonly url: string;
  readonly port: number;
  /** Breaks off what is being answered and frees the port. */
  close(): Promise<void>;
}

/** Where a POST goes. */
const endpoints: ReadonlyMap<string, (served: Served, body: unknown) => Understood> = new Map([
  ["/v1/chat/completions", chatCompletion],
  ["/v1/completions", textCompletion],
]);

/**
 * Serves a model as OpenAI's API has it: `GET /v1/models`, `POST /v1/chat/completions` and `POST /v1/completions`, whole or streamed,
 * with `n`, `seed`, `stop`, `logprobs`, biases and penalties, and beyond that the field `latentkit` with `steer` (directions that are
 * added at sites), `top_k`, `min_p` and `repetition_penalty`. One request is answered at a time; a client that goes away frees its
 * place. Fields that it does not know, and those that it cannot honour, are refused.
 *
 * @throws ConfigError `TOKENIZER_MISSING`, `SERVE_OPEN` for an address beyond this machine without a token; IoError `SERVE_LISTEN`
 */
export async function serveModel(options: ServeModelOptions): Promise<ModelServer> {
  const { model, host = "127.0.0.1", port = 0, token = null, onError } = options;
  const loopback = isLoopbackHost(host);
  const { tokenizer } = model;
  if (tokenizer === null) {
    throw new ConfigError({
      code: "TOKENIZER_MISSING",
      message: `the model ${model.name} has no tokenizer, and requests are text`,
      fix: "put tokenizer.json beside the weights",
      where: model.name,
    });
  }
  if (!loopback && (token === null || token === "")) {
    throw new ConfigError({
      code: "SERVE_OPEN",
      message: `at ${host} other machines can reach the server, and no token was given`,
      fix: "give a token that clients must send, or listen at 127.0.0.1",
      where: host,
    });
  }
  const served: Served = { model, name: options.name ?? model.name, tokenizer };
  const line = new WaitingLine(options.maxWaiting ?? 64);
  const closing = new AbortController();

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const signal = AbortSignal.any([gone.signal, closing.signal]);
    checkAccess(request, { token, loopback });
    const path = (request.url ?? "").replace(/\?.*$/su, "");
    if (path === "/v1/models" || path === `/v1/models/${served.name}`) {
      requireMethod(request, "GET");
      const listed = { id: served.name, object: "model", created: 0, owned_by: "latentkit" };
      sendJson(response, 200, path === "/v1/models" ? { object: "list", data: [listed] } : listed);
      return;
    }
    const endpoint = endpoints.get(path);
    if (endpoint === undefined) {
      const known = ["/v1/models", ...endpoints.keys()].join(", ");
      throw new HttpError(404, "not_found", `there is no ${path}; there are ${known}`);
    }
    requireMethod(request, "POST");
    const body = await readJsonBody(request, options.maxBodyBytes ?? 8 * 2 ** 20);
    const { answer, stream } = endpoint(served, body);
    const abortable = { ...answer, options: { ...answer.options, signal } };
    await line.run(async () => {
      if (stream) await streamAnswer(abortable, new EventStream(response));
      else sendJson(response, 200, await wholeAnswer(abortable));
    }, signal);
  };

  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => {
      const { status, headers, body } = errorAnswer(error);
      if (status === 500) onError?.(error);
      if (response.destroyed) return;
      // A stream that has begun cannot have a status any more: the error is its last event.
      if (response.headersSent) response.end(`data: ${JSON.stringify(body)}\n\n`);
      else sendJson(response, status, body, headers);
    });
  });
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new IoError({
      code: "SERVE_LISTEN",
      message: `cannot listen at ${host}:${port}: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "give another port, or 0 for any that is free",
      where: `${host}:${port}`,
      cause,
    });
  }
  // Of a server that listens on a port it is an object.
  const { port: actual } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    closing.abort();
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${actual}/v1`,
    port: actual,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function requireMethod(request: IncomingMessage, method: string): void {
  if (request.method === method) return;
  throw new HttpError(405, "method_not_allowed", `${request.url} takes ${method}`, {
    allow: method,
  });
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers });
  response.end(text);
}
