import type { OnProgress } from "@latentkit/core";
import type { OpenSaeOptions } from "@latentkit/sae/node";
import type { Command } from "commander";
import { z } from "zod";
import { count } from "../../options.ts";
import type { Terminal } from "../../terminal.ts";

/** How an SAE is named on the command line. */
export const saeArgument =
  "folder or file in any format that is read, RELEASE/ID as SAELens has them, org/name/path of the hub, or http(s) address";

/** Flags that say what an SAE's files do not. */
export const saeSourceSchema = {
  inputScale: z.coerce.number().positive().optional(),
  k: count.optional(),
};

/** Adds the flags of {@link saeSourceSchema}. */
export function withSaeSource(command: Command): Command {
  return command
    .option("--input-scale <s>", "what inputs were scaled by in training, where the files lack it")
    .option("--k <n>", "latents that TopK keeps, where the files do not say (Qwen Scope)");
}

/** The flags as `loadSae` takes them. */
export function saeSource(
  options: { readonly inputScale?: number | undefined; readonly k?: number | undefined },
  { env, signal }: Terminal,
  onProgress?: OnProgress,
): OpenSaeOptions {
  const { inputScale, k } = options;
  return { inputScale, k, signal, onProgress, remote: { env } };
}
