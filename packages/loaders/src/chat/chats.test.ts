import { fc, test } from "@fast-check/vitest";
import { LatentkitError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { errorOf, loadJson } from "../__fixtures__/load.ts";
import { tokenizerFromJson } from "../tokenizer/tokenizer-from-json.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { renderChat } from "./render-chat.ts";
import type { ChatMessage, RenderChatOptions } from "./render-chat.ts";

type Row = readonly [conversation: number, mode: number, text: string | null, error: string | null];
interface Golden {
  readonly specials: Readonly<Record<string, string>>;
  readonly conversations: readonly (readonly ChatMessage[])[];
  readonly templates: Readonly<
    Record<string, { readonly template: string; readonly rows: readonly Row[] }>
  >;
  readonly ids: readonly (readonly number[])[];
}

const golden = loadJson<Golden>("../chat/__fixtures__/chats.json");
const fixture = (name: string): unknown =>
  loadJson<{ readonly tokenizer: unknown }>(`../tokenizer/__fixtures__/${name}.json`).tokenizer;
const llama2 = fixture("llama2");
const qwen = fixture("qwen");
const names = Object.keys(golden.templates);
const now = new Date(2024, 6, 5, 9, 7, 3);
const endings: readonly RenderChatOptions[] = [
  {},
  { addGenerationPrompt: true },
  { continueFinalMessage: true },
];
const withTemplate = (template: string): Tokenizer =>
  tokenizerFromJson(llama2, {
    chat_template: template,
    bos_token: "<s>",
    eos_token: "</s>",
  });

describe.each(names)("the template %s, rendered by transformers", (name) => {
  const { template, rows } = golden.templates[name] ?? { template: "", rows: [] };
  const tokenizer = withTemplate(template);

  it.each(rows)("conversation %d, ending %d", async (conversation, mode, text, error) => {
    const messages = golden.conversations[conversation] ?? [];
    const options = { ...endings[mode], now };
    if (text === null) {
      const refused = await errorOf(() => renderChat(tokenizer, messages, options));
      if (mode === 2 && refused.code === "CHAT_CONTINUE")
        expect(error).toContain("does not appear");
      else expect(refused).toMatchObject({ code: "CHAT_TEMPLATE", name: "ConfigError" });
      if (refused.code === "CHAT_TEMPLATE") expect(refused.message).toContain(error);
      return;
    }
    const rendered = renderChat(tokenizer, messages, options);
    expect(rendered.text).toBe(text);
    expectTurns(tokenizer, messages, rendered, name);
  });
});

const withoutSpace = (words: string): string => words.replaceAll(/\s/g, "");

/** What must hold for any template and conversation. */
function expectTurns(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  {
    text,
    ids,
    starts,
    ends,
    roles,
    turns,
    contents,
    isContent,
    controlTokens,
  }: ReturnType<typeof renderChat>,
  name: string,
): void {
  contents.forEach((span, index) => {
    const content = messages[index]?.content ?? "";
    if (span === null) {
      // Some templates leave words out, or trim around what is empty.
      if (content.trim() !== "" && !["features", "mistral-v3"].includes(name))
        expect(text).not.toContain(content.trim());
      return;
    }
    const found = text.slice(span.start, span.end);
    // Of what an assistant thought, this template keeps a part, and sets its own line breaks.
    if (name === "qwen3") expect(withoutSpace(content)).toContain(withoutSpace(found));
    else expect([content, content.trim(), content.trimEnd(), content.trimStart()]).toContain(found);
  });
  ids.forEach((id, token) => {
    const turn = turns[token] ?? Number.NaN;
    const message = messages[turn];
    if (message !== undefined) expect(roles[token]).toBe(message.role);
    else expect([-1, messages.length]).toContain(turn);
    const owner = contents.findIndex(
      (span) =>
        span !== null &&
        (starts[token] ?? 0) >= span.start &&
        (ends[token] ?? 0) <= span.end &&
        span.end > span.start,
    );
    if (owner !== -1) expect([turn, isContent[token]]).toEqual([owner, 1]);
    const control =
      [...tokenizer.specialTokens.all.values()].includes(id) && isContent[token] === 0;
    expect(controlTokens.includes(token)).toBe(control);
  });
}

const messagesOf = (name: string, conversation: number, options: RenderChatOptions = {}) =>
  renderChat(
    withTemplate(golden.templates[name]?.template ?? ""),
    golden.conversations[conversation] ?? [],
    {
      now,
      ...options,
    },
  );

describe("system prompts that templates put in", () => {
  it.each([
    ["smollm2", "You are a helpful AI assistant named SmolLM."],
    ["qwen2.5", "You are Qwen. You are a helpful assistant."],
    ["llama3.2", "Cutting Knowledge Date: December 2023\nToday Date: 05 Jul 2024\n\n"],
  ])("%s says its own unless there is one", (name, prompt) => {
    for (const conversation of [0, 2, 7, 8, 15]) {
      const rendered = messagesOf(name, conversation, { addGenerationPrompt: true });
      expect(rendered.defaultSystemPrompt).toBe(prompt);
      expect(rendered.injectedSystemPrompt).toBe(true);
      const end = rendered.turns.findIndex((turn) => turn >= 0);
      expect(
        rendered.roles
          .slice(0, end)
          .filter((role) => role !== null)
          .every((role) => role === "system"),
      ).toBe(true);
      expect(rendered.text.slice(0, rendered.starts[end])).toContain(prompt);
    }
    for (const conversation of [1, 3, 17])
      expect(messagesOf(name, conversation).defaultSystemPrompt).toBeNull();
  });

  it.each(names.filter((name) => !["smollm2", "qwen2.5", "llama3.2", "features"].includes(name)))(
    "%s has none",
    (name) => {
      for (const conversation of [0, 2, 4, 7, 8, 11])
        expect(messagesOf(name, conversation)).toMatchObject({
          defaultSystemPrompt: null,
          injectedSystemPrompt: false,
        });
    },
  );
});

describe("turns", () => {
  /** The text of each stretch of tokens that share role and turn; spans of the tokenizer's own space are empty. */
  const stretches = ({ text, ids, starts, ends, roles, turns }: ReturnType<typeof renderChat>) => {
    const found: [string | null, number, number, number][] = [];
    ids.forEach((_, token) => {
      const [role, turn] = [roles[token] ?? null, turns[token] ?? Number.NaN];
      const last = found.at(-1);
      if (last?.[0] === role && last[1] === turn) last[3] = ends[token] ?? 0;
      else found.push([role, turn, starts[token] ?? 0, ends[token] ?? 0]);
    });
    return found.map(([role, turn, from, to]) => [role, turn, text.slice(from, to)]);
  };

  it("follow the text where a template moves the system prompt", () => {
    expect(stretches(messagesOf("mistral-v3", 17))).toEqual([
      [null, -1, "<s>"],
      ["user", 1, "[INST] u1[/INST]"],
      ["assistant", 2, " a1</s>"],
      ["user", 3, "[INST] u2[/INST]"],
      ["assistant", 4, " a2</s>"],
      ["system", 0, "[INST] S"],
      ["user", 5, "\n\nu3[/INST]"],
    ]);
  });

  it("are found where a template rewrites what was said before", () => {
    expect(stretches(messagesOf("qwen3", 8, { addGenerationPrompt: true }))).toEqual([
      ["user", 0, "<|im_start|>user\nThink<|im_end|>\n"],
      ["assistant", 1, "<|im_start|>assistant\nYes<|im_end|>\n"],
      ["user", 2, "<|im_start|>user\nAnd?<|im_end|>\n"],
      ["assistant", 3, "<|im_start|>assistant\n<think>\nso\n</think>\n\nNo<|im_end|>\n"],
      ["assistant", 4, "<|im_start|>assistant\n"],
    ]);
  });

  it("are found among equal and empty messages", () => {
    expect(stretches(messagesOf("gemma2", 4))).toEqual([
      [null, -1, "<s>"],
      ["user", 0, "<start_of_turn>user\nthe same<end_of_turn>\n"],
      ["assistant", 1, "<start_of_turn>model\nthe same<end_of_turn>\n"],
      ["user", 2, "<start_of_turn>user\nthe same<end_of_turn>\n"],
      ["assistant", 3, "<start_of_turn>model\nthe same<end_of_turn>\n"],
    ]);
    expect(stretches(messagesOf("llama3", 5))).toEqual([
      [null, -1, "<s>"],
      ["user", 0, "<|start_header_id|>user<|end_header_id|>\n\n<|eot_id|>"],
      ["assistant", 1, "<|start_header_id|>assistant<|end_header_id|>\n\n<|eot_id|>"],
      ["user", 2, "<|start_header_id|>user<|end_header_id|>\n\n<|eot_id|>"],
    ]);
  });

  it("end where an answer is to be continued", () => {
    expect(stretches(messagesOf("llama3", 11, { continueFinalMessage: true })).at(-1)).toEqual([
      "assistant",
      1,
      "<|start_header_id|>assistant<|end_header_id|>\n\nRoses are",
    ]);
    expect(stretches(messagesOf("chatml", 11, { continueFinalMessage: true })).at(-1)).toEqual([
      "assistant",
      1,
      "<|im_start|>assistant\nRoses are ",
    ]);
  });
});

describe("control tokens", () => {
  const marked = { messages: golden.conversations[7] ?? [], specials: ["<s>", "</s>"] };
  it("are those of the template, not those that a message spells", () => {
    const rendered = messagesOf("llama2", 7);
    const at = (token: number): string =>
      rendered.text.slice(rendered.starts[token], rendered.ends[token]);
    expect([...rendered.controlTokens].map(at)).toEqual(["<s>", "</s>"]);
    const spelled = [...rendered.ids.keys()].filter((token) => marked.specials.includes(at(token)));
    expect(spelled.length).toBe(3);
    expect(marked.messages[0]?.content).toContain("</s>");
  });
});

const word = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.constantFrom(
    "",
    " ",
    "\n",
    "user",
    "assistant",
    "<|im_end|>",
    "</s>",
    "👩‍👧",
    "the same",
    "model\n",
    " x ",
    "[/INST]",
    "\ue000",
    "\ue0010\ue002",
  ),
);
const content = fc.array(word, { maxLength: 3 }).map((parts) => parts.join(""));
const conversation = fc
  .tuple(fc.option(content, { nil: null }), fc.array(content, { minLength: 1, maxLength: 5 }))
  .map(([system, turns]): ChatMessage[] => [
    ...(system === null ? [] : [{ role: "system", content: system }]),
    ...turns.map((words, index) => ({
      role: index % 2 === 0 ? "user" : "assistant",
      content: words,
    })),
  ]);

describe("any conversation", () => {
  const oneMessageATime = names.filter((name) => !["features", "qwen3"].includes(name));
  for (const name of oneMessageATime) {
    const tokenizer = withTemplate(golden.templates[name]?.template ?? "");
    test.prop([conversation, fc.constantFrom(...endings)], { numRuns: 60 })(
      `has its words where ${name} put them`,
      (messages, ending) => {
        const rendered = rendering(tokenizer, messages, { ...ending, now });
        if (rendered === null) return;
        expectTurns(tokenizer, messages, rendered, name);
        // Turns follow the contents: borders between two messages lie between their words.
        const { turns, contents } = rendered;
        expect(turns.every((turn) => turn >= -1 && turn <= messages.length)).toBe(true);
        const said = contents
          .flatMap((span) => (span === null ? [] : [span]))
          .sort((a, b) => a.start - b.start || a.end - b.end);
        said.forEach((span, index) =>
          expect(span.start).toBeGreaterThanOrEqual(said[index - 1]?.end ?? 0),
        );
      },
    );
  }
});

function rendering(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: RenderChatOptions,
) {
  try {
    return renderChat(tokenizer, messages, options);
  } catch (error) {
    if (LatentkitError.isInstance(error) && error.code.startsWith("CHAT_")) return null;
    throw error;
  }
}

describe("the ids of a conversation", () => {
  const tokenizer = tokenizerFromJson(qwen, {
    chat_template: golden.templates.chatml?.template,
    eos_token: "<|im_end|>",
  });
  it.each(golden.conversations.map((messages, index) => [index, messages] as const))(
    "%d are those of transformers",
    (index, messages) => {
      const { ids } = renderChat(tokenizer, messages, { addGenerationPrompt: true });
      expect([...ids]).toEqual(golden.ids[index]);
    },
  );
});
