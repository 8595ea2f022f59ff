import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { HttpError } from "./http-error.ts";

/** Who may ask. */
export interface Access {
  /** Clients send it as `Authorization: Bearer`; null for none. */
  readonly token: string | null;
  /** Whether the server listens on this machine alone. */
  readonly loopback: boolean;
}

/**
 * Lets a request through or throws HttpError: 401 without the token; 403 where a server on loopback is asked under another name,
 * which is how a web page's DNS could reach it.
 */
export function checkAccess(request: IncomingMessage, { token, loopback }: Access): void {
  const host = request.headers.host ?? "";
  if (loopback && !isLoopbackHost(host.replace(/:\d+$/u, ""))) {
    throw new HttpError(
      403,
      "host_not_allowed",
      `this server answers to localhost only, and was asked as "${host}"`,
    );
  }
  if (token === null) return;
  const given = /^Bearer (.+)$/u.exec(request.headers.authorization ?? "")?.[1] ?? "";
  if (timingSafeEqual(digest(given), digest(token))) return;
  throw new HttpError(
    401,
    "invalid_api_key",
    given === ""
      ? "this server wants a token: send it as `Authorization: Bearer TOKEN` (an OpenAI client's apiKey)"
      : "the token is not the one that this server was started with",
    { "www-authenticate": "Bearer" },
  );
}

/** Whether a host name means this machine. */
export function isLoopbackHost(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/iu.test(host);
}

/** Equal lengths for the comparison, whatever was given. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
