// An OpenAI-compatible endpoint that knows what the planted latents stand for and answers by the letter.
import type { ChatClientOptions } from "@latentkit/openai-api";
import { chatClient } from "@latentkit/openai-api";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { meanings } from "./planted-latents.ts";

/** A request, as the judge reads it. */
export interface Question {
  readonly kind: "detection" | "explanation" | "fuzzing";
  readonly system: string;
  /** The first thing the user said. */
  readonly user: string;
  readonly turns: number;
  /** Requests so far, this one included. */
  readonly count: number;
}

/** Answers in the judge's place; false to let it answer. */
export type Interruption = (question: Question, response: ServerResponse) => boolean;

export interface ScriptedJudge extends AsyncDisposable {
  readonly url: string;
  readonly questions: Question[];
  /** A client of it. */
  client(options?: Partial<ChatClientOptions>): ReturnType<typeof chatClient>;
}

export async function scriptedJudge(interrupt: Interruption = () => false): Promise<ScriptedJudge> {
  const questions: Question[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const { messages } = JSON.parse(text) as {
        messages: { role: string; content: string }[];
      };
      const system = messages[0]?.content ?? "";
      const question: Question = {
        kind: system.includes("chosen at random")
          ? "fuzzing"
          : system.includes("numbered excerpts")
            ? "detection"
            : "explanation",
        system,
        user: messages[1]?.content ?? "",
        turns: messages.length,
        count: questions.length + 1,
      };
      questions.push(question);
      if (!interrupt(question, response)) say(response, exactAnswer(question));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A server that listens on TCP has one.
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return {
    url,
    questions,
    client: (options = {}) =>
      chatClient({ baseUrl: url, model: "judge", firstWait: 0.01, ...options }),
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

export function say(response: ServerResponse, content: string, finish = "stop"): void {
  response.setHeader("content-type", "application/json");
  response.end(
    JSON.stringify({
      model: "judge-1",
      choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: finish }],
      usage: { prompt_tokens: 10, completion_tokens: 2 },
    }),
  );
}

export function refuse(response: ServerResponse, status: number, headers = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify({ error: { message: "no", type: "x", code: null } }));
}

function exactAnswer({ kind, system, user }: Question): string {
  const [, open = "", close = ""] = /between\s(\S+) and (\S+?)[,.]/u.exec(system) ?? [];
  const marked = (text: string): string[] =>
    text
      .split(open)
      .slice(1)
      .map((part) => part.slice(0, part.indexOf(close)));
  if (kind === "explanation") {
    const lines = user.split("\n").filter((line) => line.startsWith("Example "));
    const seen = lines.flatMap(marked).join("");
    const found = meanings.find(
      ({ characters }) => characters !== "" && [...seen].every((one) => characters.includes(one)),
    );
    return JSON.stringify({ explanation: `It responds to ${found?.name ?? "something else"}.` });
  }
  const [, description = ""] = /^Description: (.*)$/mu.exec(user) ?? [];
  const meant = meanings.find(({ name }) => description.includes(name))?.characters ?? "";
  const texts = user
    .split("\n")
    .filter((line) => /^\d+\. /u.test(line))
    .map((line) => line.replace(/^\d+\. /u, ""));
  const answers = texts.map((text) => {
    if (kind === "detection") return [...text].some((one) => meant.includes(one)) ? 1 : 0;
    return marked(text).every((part) => [...part].every((one) => meant.includes(one))) ? 1 : 0;
  });
  return `Let me see. ${JSON.stringify(answers)}`;
}
