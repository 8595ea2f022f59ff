import { ConfigError, FormatError, IoError, type LongCallOptions } from "@latentkit/core";
import { openFile, readJson } from "@latentkit/loaders/node";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type ArrowStream, openArrowStream } from "./arrow-stream.ts";

/** Some contexts of a cache. `evaluateSae` of `@latentkit/sae` takes them as they are. */
export interface SaeLensCacheRows {
  /** How many contexts. */
  readonly contexts: number;
  /** `[contexts * contextSize, dIn]`, f32 whatever the cache stores. */
  readonly activations: Float32Array;
  /** Token ids, `[contexts * contextSize]`; null where the cache has none. */
  readonly tokens: Int32Array | null;
}

/** An activation cache of SAELens, opened for reading. */
export interface SaeLensCache {
  readonly folder: string;
  /** The column that is read, as SAELens names the site. */
  readonly hookName: string;
  readonly contextSize: number;
  readonly dIn: number;
  /** As `datasets` names it, for example `"float32"`. */
  readonly dtype: string;
  readonly hasTokens: boolean;
  /** Files of the table, in their order. */
  readonly files: readonly string[];
  /** Contexts in order, as many at a time as a batch of the file has. */
  rows(options?: LongCallOptions): AsyncGenerator<SaeLensCacheRows, void, undefined>;
}

export const stateFile = "state.json";
export const infoFile = "dataset_info.json";
export const tokensColumn = "token_ids";

const stateSchema = z.looseObject({
  _data_files: z.array(z.looseObject({ filename: z.string().regex(/^[\w.-]+$/u) })),
  _indices_files: z.array(z.unknown()).nullish(),
  _indices_data_files: z.array(z.unknown()).nullish(),
});

const infoSchema = z.looseObject({ features: z.record(z.string(), z.looseObject({})) });

const array2d = z.looseObject({
  _type: z.literal("Array2D"),
  shape: z.tuple([z.int().positive(), z.int().positive()]),
  dtype: z.string(),
});

/**
 * Opens what SAELens's `CacheActivationsRunner` writes and its `cached_activations_path` reads: a table of Hugging Face `datasets` on disk,
 * with a column of activations `[context, d_in]` that has the site's name, and `token_ids`. Caches have no mask: their tokens are all
 * of the contexts, attention sinks included.
 *
 * @param options.hookName the column to read, where there are several
 * @throws IoError `CACHE_MISSING`; FormatError `CACHE_FORMAT`, `ARROW_BROKEN`, `ARROW_UNSUPPORTED`; ConfigError `CACHE_HOOK`
 */
export async function openSaeLensCache(
  folder: string,
  options: { readonly hookName?: string | undefined } = {},
): Promise<SaeLensCache> {
  const statePath = join(folder, stateFile);
  if (!(await exists(statePath))) {
    throw new IoError({
      code: "CACHE_MISSING",
      message: `there is no ${stateFile}, which a cache of SAELens has`,
      fix: "give the folder that CacheActivationsRunner or writeSaeLensCache wrote",
      where: folder,
    });
  }
  const state = await readJson(statePath, stateSchema);
  if ((state._indices_files ?? state._indices_data_files ?? []).length > 0)
    throw formatError("its rows are in another order than its files, which indices say", statePath);
  const info = await readJson(join(folder, infoFile), infoSchema);
  const columns = new Map(
    Object.entries(info.features).flatMap(([name, feature]) => {
      const parsed = array2d.safeParse(feature);
      return parsed.success ? [[name, parsed.data] as const] : [];
    }),
  );
  const hookName = columnOf(options.hookName, [...columns.keys()], folder);
  const column = columns.get(hookName);
  if (column === undefined) throw hookError(hookName, [...columns.keys()], folder);
  const { shape, dtype } = column;
  const [contextSize, dIn] = shape;
  const hasTokens = tokensColumn in info.features;
  const files = state._data_files.map(({ filename }) => filename);
  const wanted = new Set(hasTokens ? [hookName, tokensColumn] : [hookName]);

  return {
    folder,
    hookName,
    contextSize,
    dIn,
    dtype,
    hasTokens,
    files,
    async *rows({ signal, onProgress } = {}) {
      for (const [index, file] of files.entries()) {
        const path = join(folder, file);
        // eslint-disable-next-line no-await-in-loop -- one file open at a time
        const source = await openFile(path);
        try {
          // eslint-disable-next-line no-await-in-loop -- likewise
          const stream = await openArrowStream(source);
          yield* contextsOf(stream, { wanted, hookName, contextSize, dIn, path, signal });
        } finally {
          // eslint-disable-next-line no-await-in-loop -- likewise
          await source.close();
        }
        onProgress?.({ stage: "cache", done: index + 1, total: files.length, unit: "files" });
      }
    },
  };
}

async function* contextsOf(
  stream: ArrowStream,
  options: {
    readonly wanted: ReadonlySet<string>;
    readonly hookName: string;
    readonly contextSize: number;
    readonly dIn: number;
    readonly path: string;
    readonly signal: AbortSignal | undefined;
  },
): AsyncGenerator<SaeLensCacheRows, void, undefined> {
  const { wanted, hookName, contextSize, dIn, path, signal } = options;
  for await (const { rows, columns } of stream.batches(wanted, signal)) {
    if (rows === 0) continue;
    const hook = columns.get(hookName);
    const tokens = columns.get(tokensColumn);
    if (hook === undefined || hook.shape.join() !== `${contextSize},${dIn}`) {
      const found = hook === undefined ? "no column" : `rows of shape [${hook.shape.join(", ")}]`;
      throw formatError(
        `it has ${found} for ${hookName}, and ${infoFile} says [${contextSize}, ${dIn}]`,
        path,
      );
    }
    if (tokens !== undefined && tokens.shape.join() !== String(contextSize))
      throw formatError(`${tokensColumn} has rows of [${tokens.shape.join(", ")}]`, path);
    yield {
      contexts: rows,
      activations: Float32Array.from(hook.values),
      tokens: tokens === undefined ? null : Int32Array.from(tokens.values),
    };
  }
}

/** The only column, or the one that was asked for. */
function columnOf(asked: string | undefined, names: readonly string[], folder: string): string {
  const [only] = names;
  const name = asked ?? (names.length === 1 ? only : undefined);
  if (name !== undefined && names.includes(name)) return name;
  throw hookError(asked, names, folder);
}

function hookError(
  asked: string | undefined,
  names: readonly string[],
  folder: string,
): ConfigError {
  return new ConfigError({
    code: "CACHE_HOOK",
    message: `the cache holds activations of ${names.join(", ") || "no site"}${asked === undefined ? "" : `, and none of ${asked}`}`,
    fix: "give one of these as hookName",
    where: folder,
  });
}

function formatError(what: string, where: string): FormatError {
  return new FormatError({
    code: "CACHE_FORMAT",
    message: `this cache cannot be read: ${what}`,
    fix: "write it anew with SAELens's CacheActivationsRunner, or with writeSaeLensCache",
    where,
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
