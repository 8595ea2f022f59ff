import {
  formatShape,
  type LongCallOptions,
  MismatchError,
  sameShape,
  storedBlock,
  type StoredFormat,
  throwIfAborted,
} from "@latentkit/core";
import {
  defaultPieceBytes,
  type PieceOptions,
  storedFormatOf,
  type TensorInfo,
  type TensorStore,
} from "@latentkit/loaders";
import type { Device, StoredActivations, StoredPiece } from "@latentkit/tensor";
import type { ParameterSpec, Weight } from "./families/family.ts";
import { checkTied } from "./tied-weights.ts";
import { transposeStored } from "./transpose-stored.ts";

/** Weights by their Hugging Face names. Tied ones are one and the same object under two names. */
export type Parameters = ReadonlyMap<string, Weight>;

/** How {@link loadWeights} keeps matrices; see `LoadModelOptions`. */
export interface LoadWeightsOptions extends LongCallOptions {
  readonly weights?: "stored" | "f32" | undefined;
  readonly activations?: StoredActivations | undefined;
  /** Names of tensors to leave in the file. */
  readonly otherTensors?: RegExp | undefined;
  /** Name of the unembedding, whose lack may mean that it is the embedding. */
  readonly unembedding?: string | undefined;
}

/** Tensors that some checkpoints carry and the forward pass computes itself: rotary frequencies and causal masks. */
const derived = /\.rotary_emb\.inv_freq$|\.(?:attn|attention)\.(?:masked_)?bias$/;

/**
 * Copies an architecture's tensors to the device, one at a time, after checking names and shapes of all: matrices as they are
 * stored, in pieces, and everything else as f32.
 *
 * @throws MismatchError `WEIGHTS_MISSING` naming every tensor that is not there; `WEIGHTS_SHAPE` naming each tensor of another
 *   shape with both shapes; `WEIGHTS_UNEXPECTED` for tensors that the architecture has no place for, since leaving them out would
 *   compute something else; `WEIGHTS_TIED` for two tensors that the configuration makes one of and that differ
 * @throws AbortedError once the signal fires; what was loaded is freed
 */
export async function loadWeights(
  store: TensorStore,
  specs: readonly ParameterSpec[],
  device: Device,
  options: LoadWeightsOptions = {},
): Promise<Parameters> {
  checkWeights(store, specs, options);
  for (const spec of specs) {
    const copy = spec.sameAs === undefined ? null : nameIn(store, spec);
    const source = specs.find(({ name }) => name === spec.sameAs);
    if (copy === null || source === undefined) continue;
    // eslint-disable-next-line no-await-in-loop -- there is one at most
    await checkTied(store, nameIn(store, source) ?? source.name, copy, options.signal);
  }
  const parameters = new Map<string, Weight>();
  const stored = specs.filter((spec) => spec.sameAs === undefined);
  const total = stored.reduce((sum, spec) => sum + infoOf(store, spec).byteLength, 0);
  let done = 0;
  const memory = { ...options, buffer: new Uint8Array(defaultPieceBytes) };
  try {
    for (const spec of stored) {
      throwIfAborted(options.signal, "no weights are kept");
      // eslint-disable-next-line no-await-in-loop -- one tensor at a time, so that only one is in host memory
      parameters.set(spec.name, await loadWeight(store, spec, device, memory));
      done += infoOf(store, spec).byteLength;
      options.onProgress?.({ stage: "load weights", done, total, unit: "bytes" });
    }
    shareTied(parameters, specs);
    return parameters;
  } catch (error) {
    disposeParameters(parameters);
    throw error;
  }
}

async function loadWeight(
  store: TensorStore,
  spec: ParameterSpec,
  device: Device,
  {
    signal,
    weights = "stored",
    activations,
    buffer,
  }: LoadWeightsOptions & Pick<PieceOptions, "buffer">,
): Promise<Weight> {
  const { shape, transposed = false } = spec;
  const name = nameIn(store, spec) ?? spec.name;
  const format = weights === "stored" ? storedFormatFor(store.info(name), transposed) : null;
  if (format === null)
    return device.keep(device.tensor(await store.readFloats(name, { signal }), shape));
  const [rows, columns] = matrixShape(shape);
  return transposed
    ? device.streamStoredWeight(
        transposedPiece(store, name, [rows, columns], format, signal),
        [columns, rows],
        format,
        { activations },
      )
    : device.streamStoredWeight(store.readPieces(name, { signal, buffer }), shape, format, {
        activations,
      });
}

/** A matrix `[in, out]` as the one piece `[out, in]` that kernels read. */
async function* transposedPiece(
  store: TensorStore,
  name: string,
  shape: readonly [number, number],
  format: StoredFormat,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredPiece> {
  const bytes = await store.readBytes(name, { signal });
  yield { byteOffset: 0, bytes: transposeStored(bytes, shape, format === "f32" ? 4 : 2) };
}

function matrixShape([rows = 0, columns = 0]: readonly number[]): readonly [number, number] {
  return [rows, columns];
}

/** What a checkpoint calls a tensor; null where it lacks it. */
function nameIn(store: TensorStore, { name, aliases = [] }: ParameterSpec): string | null {
  return [name, ...aliases].find((known) => store.has(known)) ?? null;
}

function infoOf(store: TensorStore, spec: ParameterSpec): TensorInfo {
  return store.info(nameIn(store, spec) ?? spec.name);
}

/**
 * The format in which the device keeps a tensor of the file; null for vectors, and for formats that it has no kernels for. Blocks of
 * quantised weights lie along rows, so a matrix in them cannot be transposed as it is.
 */
function storedFormatFor({ shape, format }: TensorInfo, transposed: boolean): StoredFormat | null {
  const stored = storedFormatOf(format);
  const [, columns] = shape;
  if (stored === null || columns === undefined || shape.length !== 2) return null;
  const { elements } = storedBlock(stored);
  if (transposed && elements > 1) return null;
  return columns % elements === 0 ? stored : null;
}

/**
 * Puts a tied parameter's source under its own name as well. It is the very same object, so that a tape sums the gradients of both
 * uses.
 */
export function shareTied(parameters: Map<string, Weight>, specs: readonly ParameterSpec[]): void {
  for (const { name, sameAs } of specs) {
    const source = sameAs === undefined ? undefined : parameters.get(sameAs);
    if (source !== undefined) parameters.set(name, source);
  }
}

/** Frees each weight once, however many names it has. */
export function disposeParameters(parameters: Parameters): void {
  for (const weight of new Set(parameters.values())) weight.dispose();
}

function checkWeights(
  store: TensorStore,
  specs: readonly ParameterSpec[],
  { otherTensors: others, unembedding }: LoadWeightsOptions,
): void {
  const stored = specs.filter((spec) => spec.sameAs === undefined);
  const missing = stored.filter((spec) => nameIn(store, spec) === null).map((spec) => spec.name);
  if (missing.length > 0) {
    throw new MismatchError({
      code: "WEIGHTS_MISSING",
      message: `${missing.length} of ${stored.length} tensors are missing: ${missing.join(", ")}`,
      fix:
        missing.length === 1 && missing[0] === unembedding
          ? 'if the unembedding is the embedding, write "tie_word_embeddings": true into config.json; otherwise give all files of the checkpoint'
          : "give all files of the checkpoint, and the config.json that belongs to them",
      where: store.name,
    });
  }
  const wrong = stored.flatMap((spec) => {
    const given = infoOf(store, spec).shape;
    return sameShape(given, spec.shape)
      ? []
      : [`${spec.name} is ${formatShape(given)} and should be ${formatShape(spec.shape)}`];
  });
  if (wrong.length > 0) {
    throw new MismatchError({
      code: "WEIGHTS_SHAPE",
      message: `tensors do not fit the configuration: ${wrong.join("; ")}`,
      fix: "use the config.json that came with these weights",
      where: store.name,
    });
  }
  const known = new Set(specs.flatMap((spec) => [spec.name, ...(spec.aliases ?? [])]));
  const unexpected = store
    .names()
    .filter((name) => !known.has(name) && !derived.test(name) && others?.test(name) !== true);
  if (unexpected.length > 0) {
    throw new MismatchError({
      code: "WEIGHTS_UNEXPECTED",
      message: `the checkpoint has tensors that this architecture does not use: ${unexpected.join(", ")}`,
      fix: "use the config.json that came with these weights, and a checkpoint without adapters or other heads: biases and query/key norms are there only where the configuration or the architecture has them",
      where: store.name,
    });
  }
}
