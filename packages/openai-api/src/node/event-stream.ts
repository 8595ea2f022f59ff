import { once } from "node:events";
import type { ServerResponse } from "node:http";

/** Server-sent events of an answer that comes in pieces; the headers go out with the first. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** Whether anything is out, so that an error can no longer be a status. */
  get begun(): boolean {
    return this.#response.headersSent;
  }

  /** Sends one object, and waits where the client reads slowly. */
  async send(data: unknown): Promise<void> {
    await this.#write(JSON.stringify(data));
  }

  /** Sends the mark that ends the stream. */
  async end(): Promise<void> {
    await this.#write("[DONE]");
    this.#response.end();
  }

  async #write(text: string): Promise<void> {
    if (!this.#response.headersSent) {
      this.#response.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
      });
    }
    if (this.#response.destroyed) return;
    if (!this.#response.write(`data: ${text}\n\n`)) {
      await Promise.race([once(this.#response, "drain"), once(this.#response, "close")]);
    }
  }
}
