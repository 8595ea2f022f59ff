import { FormatError } from "@latentkit/core";
import {
  bytesSource,
  encodeSafetensors,
  openSafetensors,
  type TensorStore,
} from "@latentkit/loaders";
import { z } from "zod";
import { type CollectorState, ExampleCollector, type StoredWindow } from "./example-collector.ts";
import { ValueHistograms } from "./value-histograms.ts";

const count = z.int().nonnegative();

const headerSchema = z.object({
  kind: z.literal("latentkit.latent-examples"),
  schemaVersion: z.literal(1),
  /** Of the text and the activations. */
  source: z.string(),
  /** Of the SAE. */
  sae: z.string(),
  site: z.string(),
  dSae: count,
  /** Pieces of the source that are in. */
  done: count,
  pieces: count,
  tokens: count,
  windows: count,
  plan: z.object({
    latents: z.array(count),
    windowTokens: z.int().positive(),
    top: z.int().positive(),
    sample: z.int().positive(),
    background: count,
    seed: z.int(),
  }),
});

/** What a file of examples says of itself. */
export type ExamplesHeader = z.infer<typeof headerSchema>;

/** The state of a gathering, finished or not, as the bytes of a safetensors file. */
export function encodeExamples(
  header: Omit<ExamplesHeader, "kind" | "plan" | "schemaVersion" | "tokens" | "windows">,
  collector: ExampleCollector,
): Uint8Array<ArrayBuffer> {
  const { plan, state } = collector;
  const { windowTokens } = plan;
  const slots = plan.latents.length;
  const windows = [...state.windows.values()].toSorted((a, b) => a.number - b.number);
  const tokens = new Int32Array(windows.length * windowTokens);
  for (const [at, window] of windows.entries()) tokens.set(window.tokens, at * windowTokens);
  const columns = Int32Array.from(windows.flatMap(columnsOf));
  const firing = state.backgroundFiring;
  const whole: ExamplesHeader = {
    kind: "latentkit.latent-examples",
    schemaVersion: 1,
    ...header,
    tokens: state.counts.tokens,
    windows: state.counts.windows,
    plan: { ...plan, latents: [...plan.latents] },
  };
  const integers = (name: string, data: Int32Array, shape: number[] = [data.length]) =>
    ({ name, dtype: "i32", shape, bytes: data }) as const;
  const floats = (name: string, data: Float32Array, shape: number[] = [data.length]) =>
    ({ name, dtype: "f32", shape, bytes: data }) as const;
  const { top, sample } = state.kept;
  return encodeSafetensors(
    [
      integers("fired_tokens", state.firedTokens),
      integers("fired_windows", state.firedWindows),
      {
        name: "sums_f64",
        dtype: "u8",
        shape: [state.sums.byteLength],
        bytes: new Uint8Array(state.sums.buffer.slice(0)),
      },
      integers("histogram_counts", state.histograms.counts),
      floats("histogram_ranges", state.histograms.ranges),
      ...[top, sample].flatMap((kept, index) => {
        const name = index === 0 ? "top" : "sample";
        return [
          integers(`${name}_windows`, kept.windows, [slots, kept.slots]),
          floats(`${name}_maxima`, kept.maxima, [slots, kept.slots]),
          floats(`${name}_values`, kept.values, [slots, kept.slots, windowTokens]),
        ];
      }),
      integers("background", state.background),
      integers(
        "background_counts",
        Int32Array.from(firing, (places) => places.length),
      ),
      integers("background_firing", Int32Array.from(firing.flat())),
      integers("window_columns", columns, [windows.length, columnCount]),
      integers("window_tokens", tokens, [windows.length, windowTokens]),
    ],
    { latentkit: JSON.stringify(whole) },
  );
}

/** Columns of `window_columns`: number, document, context, start, length, uses. */
const columnCount = 6;

function columnsOf(window: StoredWindow): number[] {
  const { number, document, context, start, tokens, uses } = window;
  return [number, document, context, start, tokens.length, uses];
}

/**
 * Reads what {@link encodeExamples} wrote.
 *
 * @param where file name for messages
 * @throws FormatError `EXAMPLES_FILE` for another file or another schema version; what reading safetensors throws
 */
export async function decodeExamples(
  bytes: Uint8Array<ArrayBuffer>,
  where = "examples",
): Promise<{ readonly header: ExamplesHeader; readonly collector: ExampleCollector }> {
  const store = await openSafetensors(bytesSource(bytes, where));
  try {
    const header = headerOf(store.metadata["latentkit"], where);
    const { plan } = header;
    const slots = plan.latents.length;
    const read = reader(store, where);
    const kept = async (name: "sample" | "top") => ({
      slots: plan[name],
      windows: await read.integers(`${name}_windows`, slots * plan[name]),
      maxima: await read.floats(`${name}_maxima`, slots * plan[name]),
      values: await read.floats(`${name}_values`, slots * plan[name] * plan.windowTokens),
    });
    const counts = await read.integers("background_counts", plan.background);
    const flat = await store.readIntegers("background_firing");
    let from = 0;
    const backgroundFiring = Array.from(counts, (length) => [
      ...flat.subarray(from, (from += length)),
    ]);
    const state: CollectorState = {
      counts: { tokens: header.tokens, windows: header.windows },
      firedTokens: await read.integers("fired_tokens", slots),
      firedWindows: await read.integers("fired_windows", slots),
      sums: new Float64Array((await store.readBytes("sums_f64")).buffer),
      histograms: new ValueHistograms(
        slots,
        await read.integers("histogram_counts", slots * 128),
        await read.floats("histogram_ranges", slots),
      ),
      kept: { top: await kept("top"), sample: await kept("sample") },
      background: await read.integers("background", plan.background),
      backgroundFiring,
      windows: windowsOf(
        await store.readIntegers("window_columns"),
        await store.readIntegers("window_tokens"),
        plan.windowTokens,
      ),
    };
    return { header, collector: new ExampleCollector(plan, state) };
  } finally {
    await store.close();
  }
}

function windowsOf(
  columns: Int32Array,
  tokens: Int32Array,
  windowTokens: number,
): Map<number, StoredWindow> {
  const windows = new Map<number, StoredWindow>();
  for (let at = 0; at < columns.length / columnCount; at++) {
    const [number = 0, document = 0, context = 0, start = 0, length = 0, uses = 0] =
      columns.subarray(at * columnCount, (at + 1) * columnCount);
    windows.set(number, {
      number,
      document,
      context,
      start,
      tokens: tokens.slice(at * windowTokens, at * windowTokens + length),
      uses,
    });
  }
  return windows;
}

function reader(store: TensorStore, where: string) {
  const check = <T extends { readonly length: number }>(name: string, data: T, size: number): T => {
    if (data.length === size) return data;
    throw fileError(`${name} has ${data.length} elements, not ${size}`, where);
  };
  return {
    integers: async (name: string, size: number) =>
      check(name, await store.readIntegers(name), size),
    floats: async (name: string, size: number) => check(name, await store.readFloats(name), size),
  };
}

function headerOf(text: string | undefined, where: string): ExamplesHeader {
  let value: unknown = null;
  try {
    value = JSON.parse(text ?? "null");
  } catch {
    // Told below as what it is: no header.
  }
  const parsed = headerSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw fileError(z.prettifyError(parsed.error).replaceAll("\n", " "), where);
}

function fileError(message: string, where: string): FormatError {
  return new FormatError({
    code: "EXAMPLES_FILE",
    message: `these are not latents' examples of schema version 1: ${message}`,
    fix: "give a file that gatherExamples wrote, or gather anew into another file",
    where,
  });
}
