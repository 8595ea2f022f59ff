import type { ModelConfig } from "../config.ts";
import type { Family } from "./family.ts";
import { llama } from "./llama.ts";

/** Every architecture there is. */
export const families: Readonly<Record<ModelConfig["architecture"], Family>> = { llama };
