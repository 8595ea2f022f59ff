import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "@latentkit/core";
import { byteTokenizer } from "@latentkit/loaders";
import {
  isRemoteSource,
  openCheckpoint,
  type OpenCheckpointOptions,
} from "@latentkit/loaders/node";
import { type AdaptedView, withAdapter } from "@latentkit/lora";
import { loadAdapter } from "@latentkit/lora/node";
import { loadModel, randomModel } from "@latentkit/models";
import type { LanguageModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import type { TinyVersion } from "@latentkit/tiny";
import { loadTiny, tinyFolder } from "@latentkit/tiny/node";
import { type DeviceOptions, openChosenDevice } from "./device.ts";
import { runStage } from "./stage.ts";
import type { Terminal } from "./terminal.ts";

/** What `--help` says of MODEL. */
export const modelArgument =
  "folder, .gguf file, org/name[@revision] of the hub, http(s) address, `tiny`, `tiny-instruct`, or `random`";

/** Names for the embedded model. A folder of such a name is given as `./tiny`. */
const embedded: ReadonlyMap<string, TinyVersion> = new Map([
  ["tiny", "base"],
  ["tiny-instruct", "instruct"],
]);

/** What `--help` says of --adapter. */
export const adapterOption =
  "folder of a LoRA adapter in PEFT's format (adapter_config.json), merged into the model";

/** A model on the device that was asked for, else the CPU. Disposing frees both. */
export interface OpenModel extends Disposable {
  readonly model: LanguageModel;
  readonly device: Device;
}

/**
 * Opens what a command's MODEL argument names: a folder, a `.gguf` file, a model of the hub, an address, `tiny` or
 * `tiny-instruct` (the embedded model), or `random`.
 *
 * Throws `ConfigError` `MODEL_NOT_FOUND` where there is no such path, `IoError` `TINY_MISSING` where the embedded model's data is not
 * there, and what `openChosenDevice` and `loadAdapter` throw.
 */
export async function openModel(
  argument: string,
  terminal: Terminal,
  options: DeviceOptions & {
    readonly seed: number;
    /** Folder of an adapter to merge into the model. */
    readonly adapter?: string | undefined;
  },
): Promise<OpenModel> {
  const version = embedded.get(argument);
  const here = argument === "random" || version !== undefined || existsSync(argument);
  if (!here && !isRemoteSource(argument)) {
    throw new ConfigError({
      code: "MODEL_NOT_FOUND",
      message: `"${argument}" is neither a file nor a folder here, nor does it name a model of the hub`,
      fix: "give a folder with config.json and safetensors, a .gguf file, org/name of the hub, `tiny` for the embedded model, or `random` for random weights",
      where: "MODEL",
    });
  }
  const device = await openChosenDevice(terminal, options);
  const stage = {
    title: "load model",
    quiet: options.quiet,
    summary: (model: LanguageModel) => describeModel(model),
  };
  try {
    const base = await runStage(terminal, stage, async (onProgress) => {
      if (argument === "random")
        return randomModel({ device, seed: options.seed, tokenizer: byteTokenizer() });
      const { signal } = terminal;
      return version === undefined
        ? load(argument, device, { signal, onProgress, remote: { env: terminal.env } })
        : loadTiny({ device, version, folder: tinyData(terminal), signal, onProgress });
    });
    const { adapter } = options;
    const adapted = adapter === undefined ? null : await merge(base, adapter, terminal.signal);
    return {
      model: adapted?.model ?? base,
      device,
      [Symbol.dispose]() {
        adapted?.dispose();
        base[Symbol.dispose]();
        device.dispose();
      },
    };
  } catch (error) {
    device.dispose();
    throw error;
  }
}

async function merge(
  model: LanguageModel,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<AdaptedView> {
  using adapter = await loadAdapter(folder, { model, signal });
  return await withAdapter(model, adapter);
}

/** Another folder than the packaged one, to try weights before they are packaged. */
export function tinyData({ env }: Terminal): string | undefined {
  const folder = env["LATENTKIT_TINY"];
  return folder === "" ? undefined : folder;
}

/** Where the checkpoint lies that MODEL names: the embedded base for `tiny`, and otherwise the path itself. */
export function checkpointPath(argument: string, terminal: Terminal): string {
  return argument === "tiny" ? join(tinyData(terminal) ?? tinyFolder(), "base") : argument;
}

async function load(
  path: string,
  device: Device,
  options: OpenCheckpointOptions,
): Promise<LanguageModel> {
  const checkpoint = await openCheckpoint(path, options);
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
