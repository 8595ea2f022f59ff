import { parseReply, type Question, type Reading, type Reply } from "../protocol.ts";

/** A question as the page puts it: the client numbers it. */
export type Ask = Omit<Question, "id">;

/** What the page does with what it hears. */
export interface Listener {
  progress(doing: string): void;
  reading(reading: Reading, ask: Ask): void;
  fault(fault: { readonly code: string; readonly message: string; readonly fix: string }): void;
}

/**
 * Puts questions to the worker, one at a time. A question that comes while another is answered waits, and takes the place of one that
 * waits already: of all that somebody types only the last is worth an answer.
 */
export class EngineClient {
  readonly #worker: Worker;
  readonly #listener: Listener;
  #id = 0;
  #running: Ask | null = null;
  #waiting: Ask | null = null;

  constructor(worker: Worker, listener: Listener) {
    this.#worker = worker;
    this.#listener = listener;
    worker.addEventListener("message", ({ data }: MessageEvent<unknown>) =>
      this.#hear(parseReply(data)),
    );
    worker.addEventListener("error", ({ message }) => {
      this.#running = null;
      listener.fault({
        code: "UNEXPECTED",
        message: message === "" ? "the worker could not be started" : message,
        fix: "load the page again; if that does not help, try a newer browser",
      });
    });
  }

  ask(ask: Ask): void {
    if (this.#running === null) this.#send(ask);
    else this.#waiting = ask;
  }

  #send(ask: Ask): void {
    this.#running = ask;
    this.#id += 1;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- of windows; a worker has none
    this.#worker.postMessage({ id: this.#id, ...ask } satisfies Question);
  }

  #hear(reply: Reply): void {
    const asked = this.#running;
    if (asked === null || reply.id !== this.#id) return;
    if (reply.kind === "progress") return this.#listener.progress(reply.doing);
    this.#running = null;
    const next = this.#waiting;
    this.#waiting = null;
    if (next !== null) this.#send(next);
    if (reply.kind === "reading") this.#listener.reading(reply.reading, asked);
    // What comes next may do without the fault.
    else if (next === null) this.#listener.fault(reply);
  }
}
