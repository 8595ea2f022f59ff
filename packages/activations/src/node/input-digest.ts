import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import type { TextDocument } from "../document.ts";

/** SHA-256 over documents in their order, which can be asked after each of them. */
export class InputDigest {
  readonly #hash: Hash = createHash("sha256");

  add(document: TextDocument): void {
    const { id, text, messages } = document;
    const content =
      messages === undefined ? text : messages.map(({ role, content: said }) => [role, said]);
    this.#hash.update(`${JSON.stringify([id, content])}\n`);
  }

  /** The digest of the documents so far. */
  hex(): string {
    return this.#hash.copy().digest("hex");
  }
}
