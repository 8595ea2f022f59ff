import { FormatError, MismatchError } from "@latentkit/core";
import type { TensorToWrite } from "@latentkit/loaders";
import type { Device, Optimiser, OptimiserState } from "@latentkit/tensor";
import { z } from "zod";
import type { AdapterParameters, LoraAdapter } from "../adapter.ts";
import { type AdapterHistory, type AdapterStep, adapterStepSchema } from "./history.ts";

/** A run between two updates: all that it takes to go on with the same bits. */
export interface AdapterCheckpoint {
  /** What the run is of, and what it did; JSON. */
  readonly state: AdapterCheckpointState;
  /** A and B of each module, and what the optimiser remembers of them. */
  readonly tensors: readonly (TensorToWrite & { readonly bytes: Float32Array })[];
}

/** See {@link AdapterCheckpoint}. */
export interface AdapterCheckpointState {
  readonly schemaVersion: 1;
  /** Model, adapter and configuration: a run goes on only with the same ones. */
  readonly run: Omit<AdapterHistory, "schemaVersion" | "steps">;
  readonly steps: readonly AdapterStep[];
  readonly optimiser: OptimiserState["json"];
}

/** Where a run keeps its newest checkpoint. */
export interface AdapterCheckpoints {
  /** The newest one, or null. */
  load(): Promise<AdapterCheckpoint | null>;
  /** Takes the place of the one before, at once or not at all. */
  save(checkpoint: AdapterCheckpoint): Promise<void>;
}

/** The form of {@link AdapterCheckpointState}. */
export const adapterCheckpointSchema: z.ZodType<AdapterCheckpointState> = z.object({
  schemaVersion: z.literal(1),
  run: z.object({
    model: z.object({ name: z.string(), weightsHash: z.string() }),
    config: z.record(z.string(), z.unknown()),
  }),
  steps: z.array(adapterStepSchema),
  optimiser: z.object({
    schemaVersion: z.literal(1),
    kind: z.string(),
    updates: z.int().nonnegative(),
  }),
});

/** Reads a run's state off the device. */
export async function takeCheckpoint(
  { parameters }: LoraAdapter,
  optimiser: Pick<Optimiser<AdapterParameters>, "state">,
  run: AdapterCheckpointState["run"],
  steps: readonly AdapterStep[],
): Promise<AdapterCheckpoint> {
  const { json, tensors } = optimiser.state();
  const all = [
    ...Object.entries(parameters).flatMap(([name, { a, b }]) => [
      [`${name}.a`, a] as const,
      [`${name}.b`, b] as const,
    ]),
    ...Object.entries(tensors),
  ];
  const read = all.map(async ([name, tensor]) => ({
    name,
    dtype: "f32" as const,
    shape: tensor.shape,
    bytes: await tensor.floats(),
  }));
  return {
    state: { schemaVersion: 1, run, steps, optimiser: json },
    tensors: await Promise.all(read),
  };
}

/**
 * Puts a run back to where a checkpoint was taken.
 *
 * @throws MismatchError `ADAPTER_CHECKPOINT` for a checkpoint of another run; FormatError `ADAPTER_CHECKPOINT` where tensors are
 *   missing
 */
export function restoreCheckpoint(
  adapter: LoraAdapter,
  optimiser: Pick<Optimiser<AdapterParameters>, "restore" | "state">,
  run: AdapterCheckpointState["run"],
  { state, tensors }: AdapterCheckpoint,
): void {
  // Through JSON, as the checkpoint has been: undefined fields are gone then.
  const [own, theirs] = [run, state.run].map((value) => JSON.stringify(sorted(value)));
  if (own !== theirs) {
    throw new MismatchError({
      code: "ADAPTER_CHECKPOINT",
      message: `the checkpoint is of another run: ${theirs}, and this one is ${own}`,
      fix: "train with the model, adapter and configuration that it was begun with, or remove the checkpoint",
    });
  }
  const found = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const { device } = adapter;
  device.scope(() => {
    const tensorOf = (name: string): ReturnType<Device["tensor"]> => {
      const tensor = found.get(name);
      if (tensor !== undefined) return device.tensor(tensor.bytes, tensor.shape);
      throw new FormatError({
        code: "ADAPTER_CHECKPOINT",
        message: `the checkpoint lacks the tensor "${name}"`,
        fix: "remove the checkpoint, and train again",
        where: name,
      });
    };
    // All are found before any is changed.
    const pairs = Object.entries(adapter.parameters).flatMap(([name, pair]) =>
      (["a", "b"] as const).map((factor) => ({
        source: tensorOf(`${name}.${factor}`),
        target: pair[factor],
      })),
    );
    const names = Object.keys(optimiser.state().tensors);
    const remembered = Object.fromEntries(names.map((name) => [name, tensorOf(name)]));
    optimiser.restore({ json: state.optimiser, tensors: remembered });
    for (const { source, target } of pairs)
      device.backend.kernels.convert(source.slice, target.slice);
  });
}

/** Objects with their keys in order, so that equal ones have one text. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}
