import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { internalFault } from "@latentkit/core";
import type { PeerRun } from "./peer.ts";

/** A peer script that stays: one question a line, one answer a line. Small cases alternate with ours without its start-up. */
export class PeerSession implements Disposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #lines: Interface;

  private constructor(python: string, script: string) {
    const file = fileURLToPath(new URL(`../peers/${script}`, import.meta.url));
    this.#child = spawn(python, [file], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw internalFault("the peer's output is a pipe");
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** Starts `bench/peers/SCRIPT` with the Python of `PEER_PYTHON`; null where the variable is unset or empty. */
  static open(script: string): PeerSession | null {
    const python = process.env["PEER_PYTHON"];
    return python === undefined || python === "" ? null : new PeerSession(python, script);
  }

  async ask(question: Readonly<Record<string, unknown>>): Promise<PeerRun> {
    this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw internalFault("the peer ended before it answered");
    // The peer's threads spin for 200 ms after their work (KMP_BLOCKTIME); ours are not to share the cores with that.
    await setTimeout(300);
    return JSON.parse(value) as PeerRun; // the scripts beside this folder are the only writers of this line
  }

  [Symbol.dispose](): void {
    this.#lines.close();
    this.#child.kill();
  }
}
