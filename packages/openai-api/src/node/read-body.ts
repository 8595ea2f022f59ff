import type { IncomingMessage } from "node:http";
import { HttpError } from "./http-error.ts";

/**
 * The JSON of a request's body.
 *
 * @throws HttpError 415 for another content type (which also keeps web pages from posting without a preflight), 413 for more than
 *   `limit` bytes, 400 for what is not JSON
 */
export async function readJsonBody(request: IncomingMessage, limit: number): Promise<unknown> {
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/json\b/iu.test(type)) {
    throw new HttpError(
      415,
      "unsupported_media_type",
      `the content type is "${type}"; send application/json`,
    );
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    // A request without an encoding gives bytes.
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > limit)
      throw new HttpError(413, "body_too_large", `the body has more than ${limit} bytes`);
    chunks.push(bytes);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new HttpError(400, "invalid_json", "the body is not JSON");
  }
}
