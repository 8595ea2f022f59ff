import { type ByteSource, openSafetensors, openTorch, type TorchStore } from "@latentkit/loaders";
import type { SaeConfigInput } from "../config.ts";
import { parseSaeConfig } from "../config.ts";
import { Sae } from "../sae.ts";
import type { SaeWeights } from "../weights.ts";
import type { FormatOptions, SaeFiles, SaeFormatName, SaePlan } from "./format.ts";
import type { WeightSource } from "./weight-source.ts";

/** A store that belongs to a plan. */
export type OpenedSource = WeightSource & { close(): Promise<void> };

/** What a format says of an SAE: how it is configured and how its weights are read. */
export interface PlanParts {
  readonly format: SaeFormatName;
  readonly config: SaeConfigInput;
  readonly folds?: readonly string[];
  readonly source: OpenedSource;
  /** Reads and folds the weights. */
  readonly read: () => Promise<SaeWeights>;
}

/** A plan of its parts. Throws ConfigError `SAE_CONFIG_INVALID`. */
export function planOf(parts: PlanParts, { metadata = {} }: FormatOptions): SaePlan {
  const { format, folds = [], source, read } = parts;
  const own = parts.config.metadata ?? {};
  const config = parseSaeConfig(
    { ...parts.config, metadata: { ...own, ...metadata } },
    source.name,
  );
  return {
    format,
    config,
    folds,
    weights: source,
    build: async (device) => Sae.fromWeights(device, config, await read()),
    close: () => source.close(),
  };
}

/** Opens a file as a store, and closes it where what follows throws. */
async function opened<Store extends OpenedSource, T>(
  source: ByteSource,
  open: (source: ByteSource) => Promise<Store>,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  try {
    return await use(await open(source));
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Uses a safetensors file of an SAE; it stays open for the plan that `use` makes, and is closed where `use` throws. */
export async function withSafetensors<T>(
  files: SaeFiles,
  path: string,
  { signal }: FormatOptions,
  use: (store: OpenedSource) => Promise<T>,
): Promise<T> {
  return opened(await files.open(path), (source) => openSafetensors(source, signal), use);
}

/** The same for a file of `torch.save`. */
export async function withTorch<T>(
  files: SaeFiles,
  path: string,
  { signal }: FormatOptions,
  use: (store: TorchStore) => Promise<T>,
): Promise<T> {
  return opened(await files.open(path), (source) => openTorch(source, signal), use);
}
