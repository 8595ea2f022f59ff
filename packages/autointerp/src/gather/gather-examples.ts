import { maskReasons } from "@latentkit/activations";
import {
  ConfigError,
  type LongCallOptions,
  MismatchError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { Sae } from "@latentkit/sae";
import { slice } from "@latentkit/tensor";
import { z } from "zod";
import { decodeExamples, encodeExamples, type ExamplesHeader } from "./collector-file.ts";
import {
  type BackgroundWindow,
  type CollectorPlan,
  ExampleCollector,
  type LatentExamples,
} from "./example-collector.ts";
import { spansOf, type TokenRows, type TokenSource } from "./token-source.ts";

/** Where a gathering keeps what it has so far; `fileCheckpoint` of the node entry is one. */
export interface GatherCheckpoint {
  readonly name: string;
  /** What was saved last; null for nothing. */
  load(): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Keeps all of the bytes, or what was there. */
  save(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** How {@link gatherExamples} gathers. */
export interface GatherOptions extends LongCallOptions {
  /** All of the SAE's unless given. */
  readonly latents?: readonly number[] | undefined;
  /** Tokens in a window; 32 by default, as in the automated interpretability of 2410.13928. */
  readonly windowTokens?: number | undefined;
  /** Windows of the strongest activations, for each latent; 20 by default. */
  readonly top?: number | undefined;
  /** Windows drawn uniformly from those in which the latent fires; 40 by default. */
  readonly sample?: number | undefined;
  /** Windows drawn uniformly from the whole text, shared by all latents; 256 by default. */
  readonly background?: number | undefined;
  readonly seed?: number | undefined;
  /** Where to go on from, and to save to. Without it nothing is saved. */
  readonly checkpoint?: GatherCheckpoint | undefined;
  /** Pieces of the source between saves; 32 by default. */
  readonly checkpointEvery?: number | undefined;
}

/** What one pass over a text found out about latents. */
export interface GatheredExamples {
  readonly header: ExamplesHeader;
  /** Unmasked tokens of the text. */
  readonly tokens: number;
  readonly windows: number;
  /** By latent, in ascending order. */
  readonly latents: ReadonlyMap<number, LatentExamples>;
  /** Windows of the whole text, in order, for examples in which a latent is silent. */
  readonly background: readonly BackgroundWindow[];
}

const optionsSchema = z.object({
  windowTokens: z.int().positive().default(32),
  top: z.int().positive().default(20),
  sample: z.int().positive().default(40),
  background: z.int().nonnegative().default(256),
  seed: z.int().default(0),
  checkpointEvery: z.int().positive().default(32),
});

/**
 * Walks over a text once and gathers, for each latent, the windows with its strongest activations, a uniform sample of the windows
 * in which it fires, how often and how strongly it fires, and a background of windows for contrast.
 *
 * Memory is bounded whatever the length of the text: (top + sample) windows of activations for each latent, and each window's tokens
 * once. A gathering that was stopped in any way goes on from its checkpoint and ends with the same bytes.
 *
 * @throws ConfigError `GATHER_OPTION`; MismatchError `SAE_WIDTH`, `GATHER_DIFFERS` where the checkpoint is of other text, SAE or
 *   options; FormatError `EXAMPLES_FILE`; AbortedError
 */
export async function gatherExamples(
  sae: Sae,
  source: TokenSource,
  options: GatherOptions = {},
): Promise<GatheredExamples> {
  const { signal, onProgress, checkpoint } = options;
  const { plan, checkpointEvery } = planOf(sae, options);
  if (source.dIn !== sae.config.dIn) {
    throw new MismatchError({
      code: "SAE_WIDTH",
      message: `activations of ${source.site} are ${source.dIn} wide, but the SAE reads activations of width ${sae.config.dIn}`,
      fix: "use the site that the SAE was trained on",
    });
  }
  const identity = {
    source: source.identity,
    sae: await sae.identity(),
    site: source.site,
    dSae: sae.config.dSae,
    pieces: source.pieces,
  };
  const before = await resume(checkpoint, identity, plan);
  const collector = before?.collector ?? new ExampleCollector(plan);
  let done = before?.header.done ?? 0;
  const save = async (): Promise<void> =>
    checkpoint?.save(encodeExamples({ ...identity, done }, collector));
  const places = new Int32Array(sae.config.dSae).fill(-1);
  for (const [place, latent] of plan.latents.entries()) places[latent] = place;
  let saved = done;
  try {
    for await (const rows of done < source.pieces ? source.read(done) : []) {
      throwIfAborted(signal, "what was gathered is kept");
      await addRows(sae, rows, places, collector);
      done += 1;
      onProgress?.({
        stage: "gather examples",
        done,
        total: source.pieces,
        unit: "pieces",
        figures: { tokens: collector.state.counts.tokens },
      });
      if (done - saved >= checkpointEvery && done < source.pieces) {
        await save();
        saved = done;
      }
      await yieldToEventLoop();
    }
    throwIfAborted(signal, "what was gathered is kept");
  } finally {
    if (saved < done) await save();
  }
  return gathered(headerOf(identity, done, collector), collector);
}

/**
 * Reads the file of a finished gathering.
 *
 * @throws FormatError `EXAMPLES_FILE`; MismatchError `GATHER_UNFINISHED`
 */
export async function readExamples(
  bytes: Uint8Array<ArrayBuffer>,
  where = "examples",
): Promise<GatheredExamples> {
  const { header, collector } = await decodeExamples(bytes, where);
  if (header.done === header.pieces) return gathered(header, collector);
  throw new MismatchError({
    code: "GATHER_UNFINISHED",
    message: `the file holds ${header.done} of ${header.pieces} pieces`,
    fix: "call gatherExamples with the same checkpoint to finish",
    where,
  });
}

/** The header as it would be read back from the bytes. */
function headerOf(
  identity: Pick<ExamplesHeader, "dSae" | "pieces" | "sae" | "site" | "source">,
  done: number,
  { plan, state }: ExampleCollector,
): ExamplesHeader {
  return {
    kind: "latentkit.latent-examples",
    schemaVersion: 1,
    ...identity,
    done,
    ...state.counts,
    plan: { ...plan, latents: [...plan.latents] },
  };
}

function gathered(header: ExamplesHeader, collector: ExampleCollector): GatheredExamples {
  return {
    header,
    tokens: header.tokens,
    windows: header.windows,
    latents: new Map(
      collector.plan.latents.map((latent, place) => [latent, collector.latent(place)]),
    ),
    background: collector.background(),
  };
}

function planOf(
  sae: Sae,
  options: GatherOptions,
): { readonly plan: CollectorPlan; readonly checkpointEvery: number } {
  const parsed = optionsSchema.safeParse(options);
  const { dSae } = sae.config;
  const latents = [
    ...new Set(options.latents ?? Array.from({ length: dSae }, (_, latent) => latent)),
  ].toSorted((a, b) => a - b);
  const wrong = latents.find((latent) => !Number.isInteger(latent) || latent < 0 || latent >= dSae);
  if (!parsed.success || wrong !== undefined || latents.length === 0) {
    throw new ConfigError({
      code: "GATHER_OPTION",
      message: parsed.success
        ? wrong === undefined
          ? "no latents were given"
          : `there is no latent ${wrong} among ${dSae}`
        : parsed.error.issues
            .map(({ path, message }) => `${path.join(".")}: ${message}`)
            .join("; "),
      fix: "give whole numbers: latents from 0 on, and at least one window of at least one token",
    });
  }
  const { checkpointEvery, ...rest } = parsed.data;
  return { plan: { latents, ...rest }, checkpointEvery };
}

async function resume(
  checkpoint: GatherCheckpoint | undefined,
  identity: Readonly<Record<string, number | string>>,
  plan: CollectorPlan,
): Promise<Awaited<ReturnType<typeof decodeExamples>> | null> {
  const bytes = (await checkpoint?.load()) ?? null;
  if (checkpoint === undefined || bytes === null) return null;
  const found = await decodeExamples(bytes, checkpoint.name);
  const { header } = found;
  const was: Record<string, unknown> = { ...header, ...header.plan };
  const now: Record<string, unknown> = { ...identity, ...plan };
  const different = Object.keys(now).filter(
    (name) => JSON.stringify(was[name]) !== JSON.stringify(now[name]),
  );
  if (different.length === 0) return found;
  throw new MismatchError({
    code: "GATHER_DIFFERS",
    message: `the checkpoint was made with another ${different.join(", ")}`,
    fix: "use another file, or the text, SAE and options of the old one",
    where: checkpoint.name,
  });
}

/** Encodes a piece and hands its windows to the collector. */
async function addRows(
  sae: Sae,
  rows: TokenRows,
  places: Int32Array,
  collector: ExampleCollector,
): Promise<void> {
  const { windowTokens } = collector.plan;
  const entries = await encodeRows(sae, rows, places);
  for (const { context, document, start, end } of spansOf(rows, maskReasons.padding)) {
    for (let from = start; from < end; from += windowTokens) {
      const to = Math.min(end, from + windowTokens);
      const firing = new Map<number, Float32Array>();
      let unmasked = 0;
      for (let row = from; row < to; row++) {
        if (rows.masks[row] === maskReasons.keep) unmasked += 1;
        for (let at = entries.starts[row] ?? 0; at < (entries.starts[row + 1] ?? 0); at++) {
          const place = entries.places[at] ?? 0;
          let values = firing.get(place);
          if (values === undefined) firing.set(place, (values = new Float32Array(to - from)));
          values[row - from] = entries.values[at] ?? 0;
        }
      }
      collector.add(
        { document, context, start: from - start, tokens: rows.tokens.slice(from, to) },
        unmasked,
        firing,
      );
    }
  }
}

/** Activations of the gathered latents above 0: those of row i lie at `starts[i] .. starts[i + 1]`. Masked rows have none. */
interface RowEntries {
  readonly starts: Int32Array;
  /** Places in the plan's list of latents. */
  readonly places: Int32Array;
  readonly values: Float32Array;
}

async function encodeRows(
  sae: Sae,
  { activations, masks, tokens }: TokenRows,
  places: Int32Array,
): Promise<RowEntries> {
  const { device, config } = sae;
  const { dIn, dSae } = config;
  const kept = Int32Array.from(tokens.keys()).filter((row) => masks[row] === maskReasons.keep);
  const starts = new Int32Array(tokens.length + 1);
  const blocks: { readonly places: Int32Array; readonly values: Float32Array }[] = [];
  // Dense pre-activations exist while a block is encoded.
  const size = Math.min(1024, Math.max(16, Math.floor(2 ** 23 / dSae)));
  for (let first = 0; first < kept.length; first += size) {
    const some = kept.subarray(first, first + size);
    const data = new Float32Array(some.length * dIn);
    for (const [at, row] of some.entries())
      data.set(activations.subarray(row * dIn, (row + 1) * dIn), at * dIn);
    using x = device.tensor(data, [some.length, dIn]);
    using latents = sae.encode(x);
    const counts = await latents.counts.integers();
    const widest = counts.reduce(
      (most, count) => Math.max(most, Math.min(count, latents.capacity)),
      0,
    );
    if (widest === 0) continue;
    using narrowIndices = slice(latents.indices, { axis: 1, start: 0, end: widest });
    using narrowValues = slice(latents.values, { axis: 1, start: 0, end: widest });
    const [indices, values] = [await narrowIndices.integers(), await narrowValues.floats()];
    let found = 0;
    for (const [at, row] of some.entries()) {
      for (let entry = 0; entry < Math.min(counts[at] ?? 0, widest); entry++) {
        const place = places[indices[at * widest + entry] ?? 0] ?? -1;
        const value = values[at * widest + entry] ?? 0;
        if (place < 0 || !(value > 0)) continue;
        // Written over what was read before it.
        indices[found] = place;
        values[found] = value;
        found += 1;
        starts[row + 1] = (starts[row + 1] ?? 0) + 1;
      }
    }
    blocks.push({ places: indices.slice(0, found), values: values.slice(0, found) });
  }
  for (let row = 0; row < tokens.length; row++)
    starts[row + 1] = (starts[row + 1] ?? 0) + (starts[row] ?? 0);
  const total = starts.at(-1) ?? 0;
  const all = { starts, places: new Int32Array(total), values: new Float32Array(total) };
  let at = 0;
  for (const block of blocks) {
    all.places.set(block.places, at);
    all.values.set(block.values, at);
    at += block.places.length;
  }
  return all;
}
