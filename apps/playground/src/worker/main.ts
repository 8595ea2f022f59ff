// The worker: one question after the other. Everything that computes is on this side.
import { LatentkitError } from "@latentkit/core";
import { parseQuestion, type Reply } from "../protocol.ts";
import { Engine } from "./engine.ts";

const engine = new Engine();
let last: Promise<void> = Promise.resolve();

addEventListener("message", ({ data }: MessageEvent<unknown>) => {
  last = last.then(() => answer(data));
});

async function answer(message: unknown): Promise<void> {
  const question = parseQuestion(message);
  const { id } = question;
  try {
    const reading = await engine.read(question, (doing) => reply({ kind: "progress", id, doing }));
    reply({ kind: "reading", id, reading });
  } catch (error) {
    reply({ kind: "fault", id, ...describe(error) });
  }
}

function reply(message: Reply): void {
  postMessage(message);
}

/** What the page can say in words. */
function describe(
  error: unknown,
): Pick<Extract<Reply, { kind: "fault" }>, "code" | "message" | "fix"> {
  if (LatentkitError.isInstance(error))
    return { code: error.code, message: error.message, fix: error.fix };
  return {
    code: "UNEXPECTED",
    message: error instanceof Error ? error.message : String(error),
    fix: "this is a fault in Latentkit: report it, with the browser's console",
  };
}
