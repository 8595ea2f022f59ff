import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadJson } from "../__fixtures__/load.ts";
import { realModelPath, realTextPath } from "../__fixtures__/real-model.ts";
import { expectCase, expectCovered, expectOrderly } from "../__fixtures__/tokenizer-cases.ts";
import type { TokenizerCase } from "../__fixtures__/tokenizer-cases.ts";
import { renderChat } from "../chat/render-chat.ts";
import type { ChatMessage } from "../chat/render-chat.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { openGguf } from "../gguf/open-gguf.ts";
import type { GgufStore } from "../gguf/open-gguf.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { openFile } from "./file-source.ts";
import { openCheckpoint } from "./open-checkpoint.ts";

interface TensorGolden {
  readonly shape: readonly number[];
  readonly format: string;
  readonly sha256: string;
  readonly at: readonly number[];
  readonly values: readonly number[];
}

interface TensorGoldens {
  readonly file: string;
  readonly tensors: Readonly<Record<string, TensorGolden>>;
  readonly hugging_face: {
    readonly config: Readonly<Record<string, unknown>>;
    readonly names: readonly string[];
    readonly sha256: Readonly<Record<string, string>>;
  };
}

interface TokenGoldens {
  readonly cases: readonly TokenizerCase[];
  readonly chats: readonly {
    readonly messages: readonly ChatMessage[];
    readonly addGenerationPrompt: boolean;
    readonly text: string;
  }[];
}

const path = realModelPath();
const hash = (values: Float32Array): string =>
  createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");

describe.skipIf(path === null)("SmolLM2-135M-Instruct as GGUF", () => {
  const golden = loadJson<TensorGoldens>("smollm2-tensors.json");
  const tokens = loadJson<TokenGoldens>("smollm2-tokens.json");
  let checkpoint: Checkpoint;
  let raw: GgufStore;
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    checkpoint = await openCheckpoint(path ?? "");
    raw = await openGguf(await openFile(path ?? ""));
    if (checkpoint.tokenizer === null) throw new RangeError("no tokenizer");
    tokenizer = checkpoint.tokenizer;
  });
  afterAll(async () => {
    await checkpoint.close();
    await raw.close();
  });

  it.each(Object.entries(golden.tensors))(
    "%s is what gguf-py gives, bit for bit",
    async (name, { shape, format, sha256, at, values }) => {
      expect(raw.info(name)).toMatchObject({ shape, format });
      const floats = await raw.readFloats(name);
      expect(at.map((index) => floats[index])).toEqual(values);
      expect(hash(floats)).toBe(sha256);
    },
  );

  it("has the configuration and names of transformers", () => {
    expect(checkpoint.config).toMatchObject(golden.hugging_face.config);
    expect(checkpoint.tensors.names()).toEqual(golden.hugging_face.names);
  });

  it("has the weights of transformers, bit for bit, q and k in order", async () => {
    for (const [name, expected] of Object.entries(golden.hugging_face.sha256)) {
      expect(hash(await checkpoint.tensors.readFloats(name)), name).toBe(expected);
    }
  });

  it.each(tokens.cases.map((row) => [JSON.stringify(row.text).slice(0, 60), row] as const))(
    "encodes and decodes %s as transformers does",
    (_label, row) => {
      expect([...tokenizer.encode(row.text).ids]).toEqual(row.ids);
      expectCase(tokenizer, row);
    },
  );

  it.each(tokens.chats)(
    "renders $messages.0.content (generation prompt: $addGenerationPrompt) as transformers does",
    ({ messages, addGenerationPrompt, text }) => {
      const rendered = renderChat(tokenizer, messages, { addGenerationPrompt });
      expect(rendered.text).toBe(text);
      expect(rendered.injectedSystemPrompt).toBe(messages[0]?.role !== "system");
      const given = messages.map((_, turn) => turn);
      const before = rendered.injectedSystemPrompt ? [-1] : [];
      expect([...new Set(rendered.turns)]).toEqual([
        ...before,
        ...given,
        ...(addGenerationPrompt ? [messages.length] : []),
      ]);
    },
  );

  it("opens in a moment and hashes to one value", async () => {
    const start = performance.now();
    const again = await openCheckpoint(path ?? "");
    // Half a second on an idle machine; the bound leaves room for a busy one.
    expect(performance.now() - start).toBeLessThan(3000);
    expect(await again.weightsHash()).toBe(await checkpoint.weightsHash());
    await again.close();
  });

  const documents = realTextPath();
  it.skipIf(documents === null)("gives long documents back, with spans over all of them", () => {
    const lines = readFileSync(documents ?? "", "utf8")
      .split("\n")
      .slice(0, 100);
    for (const line of lines) {
      const { text }: { readonly text: string } = JSON.parse(line);
      const encoding = tokenizer.encode(text);
      expect(tokenizer.decode(encoding.ids)).toBe(text);
      expectOrderly(encoding, text);
      expectCovered(encoding, text);
    }
  });
});
