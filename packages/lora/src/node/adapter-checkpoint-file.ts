import { FormatError } from "@latentkit/core";
import { openSafetensorsFile, writeSafetensors } from "@latentkit/loaders/node";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type AdapterCheckpoint,
  adapterCheckpointSchema,
  type AdapterCheckpoints,
} from "../train/checkpoint.ts";

/**
 * Checkpoints of adapter training in one safetensors file, replaced as a whole each time: a run that was killed goes on from the file,
 * and ends with the same bytes as one that was not.
 *
 * Its `load` throws FormatError `ADAPTER_CHECKPOINT` for a file that is no checkpoint, and its `save` IoError `DISK_FULL` and its kin.
 */
export function adapterCheckpointFile(path: string): AdapterCheckpoints {
  return {
    load: async () => (existsSync(path) ? read(path) : null),
    async save({ state, tensors }) {
      await mkdir(dirname(path), { recursive: true });
      await writeSafetensors(path, tensors, { state: JSON.stringify(state) });
    },
  };
}

async function read(path: string): Promise<AdapterCheckpoint> {
  const store = await openSafetensorsFile(path);
  try {
    const state = adapterCheckpointSchema.safeParse(parse(store.metadata["state"]));
    if (!state.success) {
      throw new FormatError({
        code: "ADAPTER_CHECKPOINT",
        message: "the file is no checkpoint of adapter training",
        fix: "remove the file, or give another path for checkpoints",
        where: path,
      });
    }
    const tensors = store.names().map(async (name) => ({
      name,
      dtype: "f32" as const,
      shape: store.info(name).shape,
      bytes: await store.readFloats(name),
    }));
    return { state: state.data, tensors: await Promise.all(tensors) };
  } finally {
    await store.close();
  }
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}
