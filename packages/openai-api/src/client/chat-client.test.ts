import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { chatClient, type ChatClientOptions } from "./chat-client.ts";
import { retryAfter } from "./retry.ts";

interface Asked {
  readonly body: Record<string, unknown>;
  readonly headers: IncomingMessage["headers"];
  readonly at: number;
}
type Answer = (asked: Asked, response: ServerResponse, count: number) => void;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A server that answers as it is told, and what it was asked. */
async function endpoint(
  answer: Answer,
  options: Partial<ChatClientOptions> = {},
): Promise<{
  readonly asked: Asked[];
  readonly client: ReturnType<typeof chatClient>;
  readonly url: string;
}> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const one = {
        body: JSON.parse(text) as Record<string, unknown>,
        headers: request.headers,
        at: Date.now(),
      };
      asked.push(one);
      answer(one, response, asked.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const client = chatClient({ baseUrl: url, model: "judge", firstWait: 0.01, ...options });
  return { asked, client, url };
}

function reply(response: ServerResponse, message: object, rest: object = {}): void {
  response.setHeader("content-type", "application/json");
  response.end(
    JSON.stringify({
      model: "judge-1",
      choices: [
        { index: 0, message: { role: "assistant", ...message }, finish_reason: "stop", ...rest },
      ],
      usage: { prompt_tokens: 7, completion_tokens: 3 },
    }),
  );
}

function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify({ error: { message, type: "x", code: null } }));
}

const messages = [{ role: "user", content: "Yes or no?" }];

describe("a client", () => {
  it("asks once for each answer, with seeds that count up, and says what was sent", async () => {
    const { asked, client } = await endpoint(
      ({ body }, response) => reply(response, { content: `seed ${String(body["seed"])}` }),
      { apiKey: "key", extra: { top_k: 5 } },
    );
    const replies = await client.sample(messages, {
      n: 3,
      temperature: 0.7,
      topP: 0.9,
      seed: 4,
      maxTokens: 9,
      stop: ["."],
    });
    expect(replies.map(({ text }) => text)).toEqual(["seed 4", "seed 5", "seed 6"]);
    expect(replies[1]).toEqual({
      text: "seed 5",
      reasoning: null,
      finish: "stop",
      usage: { promptTokens: 7, completionTokens: 3 },
      model: "judge-1",
      sent: { temperature: 0.7, top_p: 0.9, max_tokens: 9, seed: 5, stop: ["."] },
    });
    expect(asked[0]?.headers.authorization).toBe("Bearer key");
    expect(asked[0]?.body).toMatchObject({ model: "judge", messages, top_k: 5 });
    expect(asked.every(({ body }) => !("n" in body))).toBe(true);
  });

  it("keeps reasoning apart, however it comes", async () => {
    const ways = [
      { content: "Yes.", reasoning_content: "Hm." },
      { content: "Yes.", reasoning: "Hm." },
      { content: "<think>\nHm.\n</think>\n\nYes." },
      { content: "Hm.</think>Yes." },
    ];
    const { client } = await endpoint(
      (_, response, count) => reply(response, ways[count - 1] ?? {}),
      { atOnce: 1 },
    );
    for (const { text, reasoning } of await client.sample(messages, { n: 4 }))
      expect([text, reasoning]).toEqual(["Yes.", "Hm."]);
  });

  it("tells an answer that was cut off", async () => {
    const { client } = await endpoint((_, response) =>
      reply(response, { content: "<think>so lo" }, { finish_reason: "length" }),
    );
    const [cut] = await client.sample(messages);
    expect(cut).toMatchObject({ text: "", reasoning: "so lo", finish: "length" });
  });

  it("tries again what may pass: 429 after the wait asked for, faults, faults in a 200, emptiness, what is not JSON", async () => {
    const troubles: ((response: ServerResponse) => void)[] = [
      (response) => refuse(response, 429, "slow down", { "retry-after": "0.2" }),
      (response) => refuse(response, 503, "overloaded"),
      (response) => refuse(response, 200, "upstream failed"),
      (response) => reply(response, { content: "" }),
      (response) => response.end("<html>"),
      (response) => response.destroy(),
    ];
    const { asked, client } = await endpoint(
      (_, response, count) =>
        (troubles[count - 1] ?? ((last) => reply(last, { content: "at last" })))(response),
      { tries: 7 },
    );
    const [one] = await client.sample(messages);
    expect(one?.text).toBe("at last");
    expect(asked).toHaveLength(7);
    expect((asked[1]?.at ?? 0) - (asked[0]?.at ?? 0)).toBeGreaterThanOrEqual(190);
  });

  it("gives up after its tries, and at once where nothing will change", async () => {
    const failing = await endpoint((_, response) => refuse(response, 500, "broken"), { tries: 3 });
    await expect(failing.client.sample(messages)).rejects.toMatchObject({
      code: "CHAT_FAILED",
      message: expect.stringMatching(/3 tries failed.*500: broken/u) as unknown,
    });
    expect(failing.asked).toHaveLength(3);
    for (const status of [400, 401, 403, 404]) {
      const { asked, client } = await endpoint((_, response) => refuse(response, status, "no"));
      await expect(client.sample(messages)).rejects.toMatchObject({ code: "CHAT_REFUSED" });
      expect(asked).toHaveLength(1);
    }
  });

  it("leaves out what a server refuses by name, and remembers it", async () => {
    const { asked, client } = await endpoint(({ body }, response) => {
      if ("temperature" in body)
        refuse(response, 400, "Unsupported value: 'temperature' does not support 0.5");
      else if ("max_tokens" in body)
        refuse(
          response,
          400,
          "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        );
      else reply(response, { content: "fine" });
    });
    const options = { temperature: 0.5, maxTokens: 8 };
    const [first] = await client.sample(messages, options);
    expect(first?.sent).toEqual({ max_completion_tokens: 8 });
    await client.sample(messages, options);
    expect(asked).toHaveLength(4);
  });

  it("stops on request, and after its time", async () => {
    const { client } = await endpoint(() => undefined, { timeout: 0.1, tries: 2 });
    await expect(client.sample(messages)).rejects.toMatchObject({
      code: "CHAT_FAILED",
      message: expect.stringContaining("no answer within 0.1 s") as unknown,
    });
    const patient = await endpoint(() => undefined);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    await expect(
      patient.client.sample(messages, { signal: controller.signal }),
    ).rejects.toMatchObject({
      code: "ABORTED",
    });
  });

  it("asks no more at once, and no faster, than it is told", async () => {
    let running = 0;
    let most = 0;
    const { asked, client } = await endpoint(
      (_, response) => {
        most = Math.max(most, ++running);
        setTimeout(() => {
          running--;
          reply(response, { content: "x" });
        }, 10);
      },
      { atOnce: 2, perMinute: 60_000 / 25 },
    );
    await client.sample(messages, { n: 6 });
    expect(most).toBeLessThanOrEqual(2);
    const [first, last] = [asked[0]?.at ?? 0, asked.at(-1)?.at ?? 0];
    expect(last - first).toBeGreaterThanOrEqual(5 * 25 - 10);
  });

  it("does not carry its key to where a server points", async () => {
    const elsewhere = await endpoint((_, response) => reply(response, { content: "stolen" }));
    const { client } = await endpoint(
      (_, response) => {
        response.writeHead(307, { location: `${elsewhere.url}/chat/completions` });
        response.end();
      },
      { apiKey: "secret", tries: 1 },
    );
    await expect(client.sample(messages)).rejects.toMatchObject({ code: "CHAT_FAILED" });
    expect(elsewhere.asked).toHaveLength(0);
  });

  it("refuses options that cannot work", () => {
    for (const options of [
      { baseUrl: "localhost:8000", model: "m" },
      { baseUrl: "http://localhost", model: "" },
      { baseUrl: "http://localhost", model: "m", tries: 0 },
    ])
      expect(() => chatClient(options)).toThrow(expect.objectContaining({ code: "CHAT_CLIENT" }));
  });
});

it("reads waits in seconds and as dates", () => {
  expect(retryAfter("2")).toBe(2);
  expect(retryAfter("Thu, 01 Jan 1970 00:00:10 GMT", 4000)).toBe(6);
  expect(retryAfter("Thu, 01 Jan 1970 00:00:10 GMT", 40_000)).toBe(0);
  expect(retryAfter("soon")).toBeNull();
  expect(retryAfter(null)).toBeNull();
});
