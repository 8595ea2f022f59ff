import { existsSync } from "node:fs";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { ConfigError } from "@latentkit/core";
import type { OnProgress } from "@latentkit/core";
import { byteTokenizer } from "@latentkit/loaders";
import { openCheckpoint } from "@latentkit/loaders/node";
import { loadModel, randomModel } from "@latentkit/models";
import type { LanguageModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import { runStage } from "./stage.ts";
import type { Terminal } from "./terminal.ts";

/** A model on the machine's best device. Disposing frees both. */
export interface OpenModel extends Disposable {
  readonly model: LanguageModel;
  readonly device: Device;
}

/**
 * Opens what a command's MODEL argument names: a folder, a `.gguf` file, or `random`.
 *
 * Throws `ConfigError` `MODEL_NOT_FOUND` where there is no such path.
 */
export async function openModel(
  argument: string,
  terminal: Terminal,
  options: { readonly seed: number; readonly quiet: boolean },
): Promise<OpenModel> {
  if (argument !== "random" && !existsSync(argument)) {
    throw new ConfigError({
      code: "MODEL_NOT_FOUND",
      message: `"${argument}" is neither a file nor a folder here`,
      fix: "give a folder with config.json and safetensors, a .gguf file, or `random` for a small random-weight model",
      where: "MODEL",
    });
  }
  const device = await openCpuDevice();
  const stage = {
    title: "load model",
    quiet: options.quiet,
    summary: (model: LanguageModel) => describeModel(model),
  };
  try {
    const model = await runStage(terminal, stage, async (onProgress) =>
      argument === "random"
        ? randomModel({ device, seed: options.seed, tokenizer: byteTokenizer() })
        : load(argument, device, { signal: terminal.signal, onProgress }),
    );
    return {
      model,
      device,
      [Symbol.dispose]() {
        model[Symbol.dispose]();
        device.dispose();
      },
    };
  } catch (error) {
    device.dispose();
    throw error;
  }
}

async function load(
  path: string,
  device: Device,
  options: { readonly signal: AbortSignal; readonly onProgress: OnProgress },
): Promise<LanguageModel> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await loadModel(checkpoint, {
      device,
      signal: options.signal,
      onProgress: options.onProgress,
    });
  } finally {
    await checkpoint.close();
  }
}

/** `SmolLM2-135M-Instruct.Q4_1, llama, 30 layers of 576, on cpu (openblas 0.3.21)`. */
function describeModel(model: LanguageModel): string {
  const { architecture, layers, dModel } = model.config;
  const { name, matmul } = model.device.info;
  return `${model.name}, ${architecture}, ${layers} layers of ${dModel}, on ${name} (${matmul})`;
}
