import { openCpuDevice } from "@latentkit/backend-cpu";
import { byteTokenizer, type Tokenizer } from "@latentkit/loaders";
import { type LanguageModel, randomModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import { request } from "node:http";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { modelResponder } from "../client/model-responder.ts";
import { type ModelServer, serveModel, type ServeModelOptions } from "./serve-model.ts";

const template = `{% for message in messages %}{% if message.role == 'bad' %}{{ raise_exception('no such role') }}{% endif %}<{{ message.role }}>{{ message.content }}
{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`;

let device: Device;
let model: LanguageModel;
let tokenizer: Tokenizer;
let server: ModelServer;
let client: OpenAI;
const failures: unknown[] = [];

beforeAll(async () => {
  device = await openCpuDevice();
  tokenizer = { ...byteTokenizer(), chatTemplate: template };
  const sizes = { layers: 2, dModel: 32, heads: 2, kvHeads: 1, dHead: 16, dMlp: 48 };
  model = randomModel({ device, seed: 3, tokenizer, config: { ...sizes, contextSize: 512 } });
  server = await serveModel({ model, name: "small", onError: (error) => failures.push(error) });
  client = new OpenAI({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
});
afterEach(() => expect(failures).toEqual([]));
afterAll(async () => {
  await server.close();
  model.dispose();
  device.dispose();
});

const question = [{ role: "user" as const, content: "one two" }];

/** A request that no client would send. */
async function raw(
  options: {
    readonly path?: string;
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  },
  port = server.port,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port,
        path: options.path ?? "/v1/completions",
        method: options.method ?? "POST",
        headers: { "content-type": "application/json", ...options.headers },
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    sent.on("error", reject);
    sent.end(options.body);
  });
}

async function starting(options: Partial<ServeModelOptions>): Promise<ModelServer> {
  return serveModel({ model, name: "small", ...options });
}

describe("the official client", () => {
  it("lists the model", async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(["small"]);
    expect((await client.models.retrieve("small")).id).toBe("small");
  });

  it("gets a whole answer: greedily that of the model itself", async () => {
    const answer = await client.chat.completions.create({
      model: "small",
      messages: question,
      temperature: 0,
      max_completion_tokens: 12,
    });
    const [own] = await modelResponder(model).sample(question, { maxTokens: 12 });
    const [choice] = answer.choices;
    expect(choice?.message.content).toBe(own?.text);
    expect(choice?.finish_reason).toBe(own?.finish);
    expect(answer.usage).toMatchObject({
      prompt_tokens: "<user>one two\n<assistant>".length,
      completion_tokens: own?.usage.completionTokens,
    });
    expect(own?.usage.promptTokens).toBe(answer.usage?.prompt_tokens);
  });

  it("gets an answer continued that it began itself", async () => {
    const ask = async (content: string) => {
      const answer = await client.chat.completions.create({
        model: "small",
        messages: [...question, { role: "assistant", content }],
        temperature: 0,
        max_completion_tokens: 6,
      });
      return [answer.choices[0]?.message.content, answer.usage?.prompt_tokens] as const;
    };
    const rendered = "<user>one two\n<assistant>Of cour";
    const [own] = await client.completions
      .create({ model: "small", prompt: rendered, temperature: 0, max_tokens: 6 })
      .then(({ choices }) => choices);
    expect(await ask("Of cour")).toEqual([own?.text, rendered.length]);
    const [reply] = await modelResponder(model).sample(
      [...question, { role: "assistant", content: "Of cour" }],
      { maxTokens: 6 },
    );
    expect(reply?.text).toBe(own?.text);
    // Nothing was begun: the answer is a new one.
    const whole = await client.chat.completions.create({
      model: "small",
      messages: question,
      temperature: 0,
      max_completion_tokens: 6,
    });
    expect(await ask("")).toEqual([
      whole.choices[0]?.message.content,
      "<user>one two\n<assistant>".length,
    ]);
  });

  it("gets the same answer piece by piece", async () => {
    const options = {
      model: "small",
      messages: question,
      temperature: 1.2,
      seed: 5,
      n: 2,
      max_tokens: 10,
    };
    const whole = await client.chat.completions.create(options);
    const stream = await client.chat.completions.create({
      ...options,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ["", ""];
    const finishes: (string | null)[] = [null, null];
    let usage: unknown = null;
    const roles: unknown[] = [];
    for await (const piece of stream) {
      ({ usage = null } = piece);
      for (const { index, delta, finish_reason: finish } of piece.choices) {
        texts[index] += delta.content ?? "";
        finishes[index] = finish;
        if (delta.role !== undefined) roles.push([index, delta.role]);
      }
    }
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
    expect(finishes).toEqual(whole.choices.map(({ finish_reason: finish }) => finish));
    expect(usage).toEqual(whole.usage);
    expect(roles).toEqual([
      [0, "assistant"],
      [1, "assistant"],
    ]);
    expect(texts[0]).not.toBe(texts[1]);
    expect((await client.chat.completions.create({ ...options, seed: 6 })).choices).not.toEqual(
      whole.choices,
    );
  });

  it("gets probabilities, that sum to what they should", async () => {
    const { choices } = await client.chat.completions.create({
      model: "small",
      messages: question,
      temperature: 0,
      max_tokens: 3,
      logprobs: true,
      top_logprobs: 4,
    });
    const content = choices[0]?.logprobs?.content ?? [];
    expect(content).toHaveLength(3);
    for (const { logprob, top_logprobs: top, token, bytes } of content) {
      expect(top).toHaveLength(4);
      expect(top[0]).toMatchObject({ token, logprob });
      expect(top.reduce((sum, one) => sum + Math.exp(one.logprob), 0)).toBeLessThan(1);
      expect(top.map((one) => one.logprob)).toEqual(
        top.map((one) => one.logprob).toSorted((a, b) => b - a),
      );
      if (bytes !== null) expect(Buffer.from(bytes).toString()).toBe(token);
    }
  });

  it("completes text and tokens, several prompts at once", async () => {
    const create = { model: "small", temperature: 0, max_tokens: 5, logprobs: 2 } as const;
    const both = await client.completions.create({ ...create, prompt: ["ab", "cd"] });
    const rows = await client.completions.create({
      ...create,
      prompt: [
        [97, 98],
        [99, 100],
      ],
    });
    expect(rows.choices).toEqual(both.choices);
    const single = await client.completions.create({ ...create, prompt: [99, 100] });
    expect(single.choices[0]?.text).toBe(both.choices[1]?.text);
    const logprobs = single.choices[0]?.logprobs;
    expect(logprobs?.tokens).toHaveLength(5);
    expect(logprobs?.text_offset?.[0]).toBe(0);
    expect(Object.keys(logprobs?.top_logprobs?.[0] ?? {}).length).toBeGreaterThan(0);
    expect(both.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 10 });
  });

  it("stops at strings, and forbids tokens", async () => {
    const create = { model: "small", prompt: "ab", temperature: 0, max_tokens: 8 } as const;
    const free = (await client.completions.create(create)).choices[0]?.text ?? "";
    const stop = free.slice(3, 5);
    const cut = (await client.completions.create({ ...create, stop })).choices[0];
    expect(cut?.text).toBe(free.slice(0, free.indexOf(stop)));
    expect(cut?.finish_reason).toBe("stop");
    // The tokens are bytes.
    const biased = await client.completions.create({ ...create, logit_bias: { 81: 100 } });
    expect(biased.choices[0]?.text).toBe("QQQQQQQQ");
    const penalised = await client.completions.create({
      ...create,
      logit_bias: { 81: 100, 82: 98 },
      frequency_penalty: 2,
    });
    // A letter that came often gives way to the other.
    expect(new Set(penalised.choices[0]?.text)).toEqual(new Set("QR"));
  });

  it("steers: a direction of the unembedding makes its token come", async () => {
    const token = "Z".charCodeAt(0);
    const unembedding = await model.unembedding().floats();
    const width = model.config.dModel;
    const vector = [...unembedding.subarray(token * width, (token + 1) * width)];
    const create = { model: "small", prompt: "ab", temperature: 0, max_tokens: 4 } as const;
    const steered = await client.completions.create({
      ...create,
      latentkit: { steer: [{ site: "blocks.1.hook_resid_post", vector, scale: 200 }] },
    } as unknown as typeof create);
    expect(steered.choices[0]?.text).toBe("ZZZZ");
    expect((await client.completions.create(create)).choices[0]?.text).not.toBe("ZZZZ");
  });

  it("is told what is wrong, with what to do", async () => {
    const create = { model: "small", prompt: "ab" } as const;
    const wrong = async (fields: object): Promise<unknown> =>
      client.completions.create({ ...create, ...fields }).catch((error: unknown) => error);
    expect(await wrong({ temperature: 9 })).toMatchObject({ status: 400, param: "temperature" });
    expect(await wrong({ echo: true })).toMatchObject({ status: 400, param: "echo" });
    expect(await wrong({ best_of: 3 })).toMatchObject({ status: 400 });
    expect(await wrong({ colour: "red" })).toMatchObject({
      status: 400,
      message: expect.stringContaining("colour") as unknown,
    });
    expect(await wrong({ prompt: [1, 9999] })).toMatchObject({ status: 400, code: "TOKEN_RANGE" });
    expect(await wrong({ prompt: "x".repeat(600) })).toMatchObject({ code: "CONTEXT_OVERFLOW" });
    const steer = [{ site: "blocks.1.hook_resid_pst", vector: [1] }];
    expect(await wrong({ latentkit: { steer } })).toMatchObject({
      code: "SITE_UNKNOWN",
      message: expect.stringContaining("hook_resid_post") as unknown,
    });
    const width = [{ site: "blocks.1.hook_resid_post", vector: [1, 2] }];
    expect(await wrong({ latentkit: { steer: width } })).toMatchObject({ code: "EDIT_WIDTH" });
    const messages = [{ role: "bad", content: "x" }];
    await expect(
      client.chat.completions.create({ model: "small", messages } as never),
    ).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining("no such role") as unknown,
    });
  });

  it("frees its place by going away, and others are answered in turn", async () => {
    const long = { model: "small", prompt: "ab", max_tokens: 400, latentkit: { ignore_eos: true } };
    const stream = await client.completions.create({ ...long, stream: true } as never);
    let pieces = 0;
    for await (const _ of stream as unknown as AsyncIterable<unknown>) if (++pieces === 3) break;
    const answers = await Promise.all(
      [1, 2, 3].map((seed) =>
        client.completions.create({ model: "small", prompt: "ab", max_tokens: 3, seed }),
      ),
    );
    expect(answers.map(({ choices }) => choices.length)).toEqual([1, 1, 1]);
  });
});

describe("the door", () => {
  it("wants the token, where there is one", async () => {
    await using guarded = await starting({ token: "secret" });
    const ask = (apiKey: string): Promise<unknown> =>
      new OpenAI({ baseURL: guarded.url, apiKey, maxRetries: 0 }).models.list();
    await expect(ask("wrong")).rejects.toMatchObject({ status: 401 });
    await expect(ask("secret")).resolves.toBeDefined();
    const { status } = await raw({ path: "/v1/models", method: "GET" }, guarded.port);
    expect(status).toBe(401);
  });

  it("opens to other machines with a token alone", async () => {
    await expect(starting({ host: "0.0.0.0" })).rejects.toMatchObject({ code: "SERVE_OPEN" });
    await using open = await starting({ host: "0.0.0.0", token: "t" });
    expect(open.url).toContain("0.0.0.0");
  });

  it("says where it cannot listen", async () => {
    await expect(starting({ port: server.port })).rejects.toMatchObject({ code: "SERVE_LISTEN" });
  });

  it.each([
    ["another host's name", { headers: { host: "evil.example:80" } }, 403],
    ["a form's content type", { headers: { "content-type": "text/plain" }, body: "{}" }, 415],
    ["what is not JSON", { body: "{" }, 400],
    ["a path that there is not", { path: "/v1/embeddings", body: "{}" }, 404],
    ["a method that it does not take", { method: "GET" }, 405],
  ])("refuses %s", async (_, options, status) => {
    const answer = await raw(options);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { type: "invalid_request_error" } });
  });

  it("refuses bodies that are too large, and too many that wait", async () => {
    await using small = await starting({ maxBodyBytes: 100, maxWaiting: 1 });
    const body = JSON.stringify({ prompt: "x".repeat(200) });
    expect((await raw({ body }, small.port)).status).toBe(413);
    const long = JSON.stringify({ prompt: "a", max_tokens: 300 });
    const answers = await Promise.all([1, 2, 3, 4].map(() => raw({ body: long }, small.port)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200, 200, 429, 429,
    ]);
  });

  it("breaks off what it answers when it is closed", async () => {
    const closing = await starting({});
    const body = JSON.stringify({ prompt: "a", max_tokens: 500, latentkit: { ignore_eos: true } });
    const answer = raw({ body }, closing.port).catch(() => "broken off");
    await new Promise((resolve) => setTimeout(resolve, 30));
    await closing.close();
    expect(await answer).toBe("broken off");
  });
});
