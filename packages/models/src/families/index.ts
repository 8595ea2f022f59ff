import type { Architecture } from "../config.ts";
import type { Family } from "./family.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gpt2 } from "./gpt2.ts";
import { gptNeoX } from "./gpt-neox.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { olmo2 } from "./olmo2.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";

/** Every architecture there is. */
export const families: Readonly<Record<Architecture, Family>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  olmo2,
  gemma2,
  gemma3_text: gemma3,
  gpt2,
  gpt_neox: gptNeoX,
};
