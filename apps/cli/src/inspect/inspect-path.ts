import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { openActivations } from "@latentkit/activations/node";
import { FormatError, IoError } from "@latentkit/core";
import type { TensorStore } from "@latentkit/loaders";
import {
  isRemoteSource,
  openCheckpoint,
  type OpenCheckpointOptions,
  openSafetensorsFile,
  readJson,
} from "@latentkit/loaders/node";
import { modelSites, parseConfig } from "@latentkit/models";
import { isSaeSource } from "@latentkit/sae/node";
import { z } from "zod";
import { inspectAdapter } from "./inspect-adapter.ts";
import { inspectSae } from "./inspect-sae.ts";
import { scalarsOf } from "./scalars.ts";

/** What a path turned out to be. */
export interface Inspection {
  readonly kind: "model" | "adapter" | "sae" | "activations" | "safetensors" | "atlas";
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
  readonly tables: readonly { readonly title: string; readonly lines: readonly string[] }[];
}

/**
 * Recognises a file or folder by what it holds; what is not on this machine is a model of the hub or of a web server, or an SAE. Throws
 * `IoError` `PATH_MISSING` or `FormatError` `PATH_UNKNOWN`.
 */
export async function inspectPath(
  path: string,
  options: OpenCheckpointOptions = {},
): Promise<Inspection> {
  if (isSaeSource(path)) return inspectSae(path, options);
  if (!existsSync(path)) {
    if (isRemoteSource(path)) return inspectModel(path, options);
    throw new IoError({
      code: "PATH_MISSING",
      message: `there is nothing at "${path}"`,
      fix: "check the path",
      where: path,
    });
  }
  const has = (name: string) => existsSync(join(path, name));
  if (statSync(path).isDirectory()) {
    if (has("manifest.json")) return inspectActivations(path);
    if (has("result.json")) return inspectAtlas(path);
    if (has("config.json")) return inspectModel(path);
    if (has("adapter_config.json")) return inspectAdapter(path);
  } else if (path.endsWith(".gguf")) {
    return inspectModel(path);
  } else if (path.endsWith(".safetensors")) {
    return inspectSafetensors(path);
  }
  throw new FormatError({
    code: "PATH_UNKNOWN",
    message:
      "this is neither a model, an adapter, an SAE, activation shards, an atlas nor a safetensors file",
    fix: "give a folder with config.json, adapter_config.json, cfg.json, manifest.json or result.json, a .gguf or a .safetensors file",
    where: path,
  });
}

async function inspectModel(
  path: string,
  options: OpenCheckpointOptions = {},
): Promise<Inspection> {
  const checkpoint = await openCheckpoint(path, options);
  try {
    const config = parseConfig(checkpoint.config, checkpoint.name);
    const { tensors, tokenizer } = checkpoint;
    return {
      kind: "model",
      facts: {
        name: checkpoint.name,
        format: checkpoint.format,
        ...scalarsOf({
          ...config,
          endTokens: config.endTokens.join(", "),
          ...(config.slidingLayers && { slidingLayers: config.slidingLayers.join(", ") }),
        }),
        parameters: parametersIn(tensors),
        "stored bytes": tensors
          .names()
          .reduce((sum, name) => sum + tensors.info(name).byteLength, 0),
        tokenizer: tokenizer === null ? "none" : `${tokenizer.vocabularySize} tokens`,
        "chat template": tokenizer !== null && tokenizer.chatTemplate !== null,
        // Of a file on a web server, the hash would mean to fetch all of it.
        "weights hash": /^https?:/.test(path) ? null : await checkpoint.weightsHash(options.signal),
      },
      tables: [
        { title: "tensors by format", lines: countFormats(tensors) },
        {
          title: `sites (L is 0 to ${config.layers - 1})`,
          lines: modelSites(config)
            .filter(({ layer }) => layer === null || layer === 0)
            .map(({ name }) => name.replace("blocks.0.", "blocks.L.")),
        },
      ],
    };
  } finally {
    await checkpoint.close();
  }
}

async function inspectSafetensors(path: string): Promise<Inspection> {
  const store = await openSafetensorsFile(path);
  try {
    return {
      kind: "safetensors",
      facts: { tensors: store.names().length, parameters: parametersIn(store), ...store.metadata },
      tables: [{ title: "tensors", lines: tensorLines(store) }],
    };
  } finally {
    await store.close();
  }
}

async function inspectActivations(path: string): Promise<Inspection> {
  const { manifest } = await openActivations(path);
  const { counts } = manifest;
  return {
    kind: "activations",
    facts: {
      model: manifest.model.name,
      site: manifest.site,
      d_in: manifest.dIn,
      dtype: manifest.dtype,
      contexts: counts.contexts,
      tokens: counts.tokens,
      "kept by the mask": counts.kept,
      "masked: first position": counts.masked.firstPosition,
      "masked: norm": counts.masked.normOutlier,
      prependBos: manifest.packing.prependBos,
      "context size": manifest.packing.contextSize,
      documents: manifest.documents.count,
    },
    tables: [
      {
        title: "shards",
        lines: manifest.shards.map(
          (shard) => `${shard.file}  ${shard.split}  ${shard.tokens} tokens`,
        ),
      },
    ],
  };
}

async function inspectAtlas(path: string): Promise<Inspection> {
  const result = await readJson(join(path, "result.json"), z.record(z.string(), z.unknown()));
  return {
    kind: "atlas",
    facts: scalarsOf(result),
    tables: [{ title: "open", lines: [join(path, "report.html")] }],
  };
}

function parametersIn(store: TensorStore): number {
  return store
    .names()
    .reduce((sum, name) => sum + store.info(name).shape.reduce((size, axis) => size * axis, 1), 0);
}

function tensorLines(store: TensorStore): string[] {
  return store.names().map((name) => {
    const { shape, format } = store.info(name);
    return `${name}  ${format}  [${shape.join(", ")}]`;
  });
}

function countFormats(store: TensorStore): string[] {
  const counts = new Map<string, number>();
  for (const name of store.names()) {
    const { format } = store.info(name);
    counts.set(format, (counts.get(format) ?? 0) + 1);
  }
  return [...counts].map(([format, tensors]) => `${format}: ${tensors}`);
}
