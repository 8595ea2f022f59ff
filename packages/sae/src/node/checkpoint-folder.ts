import { LatentkitError, MismatchError } from "@latentkit/core";
import {
  openSafetensorsFile,
  readJson,
  writeFileAtomic,
  writeSafetensors,
} from "@latentkit/loaders/node";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { describeIssues } from "../config.ts";
import { type CheckpointStore, type CheckpointTensor, checkVersion } from "../train/checkpoint.ts";

const pointerSchema = z.object({
  schemaVersion: z.literal(1),
  // A name inside the folder; anything with a separator could reach outside it.
  tensors: z
    .string()
    .regex(/^checkpoint-\d+\.safetensors$/u, "expected checkpoint-<step>.safetensors"),
  state: z.unknown(),
});

/**
 * Checkpoints in a folder: `checkpoint.json` points to the newest `checkpoint-<step>.safetensors`, which is written before it, so
 * that a kill at any moment leaves a whole one. `metrics.jsonl` has a line for each point of the history.
 *
 * @throws IoError when saving, `DISK_FULL` for example; the older checkpoint is then still whole
 */
export function checkpointFolder(folder: string): CheckpointStore {
  const pointer = join(folder, "checkpoint.json");
  return {
    name: folder,
    async load() {
      const json = await readJson(pointer, z.unknown()).catch((error: unknown) => {
        if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING") return null;
        throw error;
      });
      if (json === null) return null;
      checkVersion(json, pointer);
      const { state, tensors } = parsePointer(json, pointer);
      return { state, tensors: await readTensors(join(folder, tensors)) };
    },
    async save({ state, tensors }) {
      await mkdir(folder, { recursive: true });
      const name = `checkpoint-${state.step}.safetensors`;
      await writeSafetensors(
        join(folder, name),
        tensors.map(({ name: tensor, shape, data }) => ({
          name: tensor,
          shape,
          dtype: data instanceof Float32Array ? "f32" : "i32",
          bytes: data,
        })),
      );
      await writeFileAtomic(
        pointer,
        `${JSON.stringify({ schemaVersion: 1, tensors: name, state })}\n`,
      );
      for (const old of await readdir(folder))
        if (/^checkpoint-\d+\.safetensors$/u.test(old) && old !== name)
          await rm(join(folder, old), { force: true });
    },
    async record(points) {
      await mkdir(folder, { recursive: true });
      await writeFileAtomic(
        join(folder, "metrics.jsonl"),
        points.map((point) => `${JSON.stringify(point)}\n`).join(""),
      );
    },
  };
}

function parsePointer(json: unknown, where: string): z.infer<typeof pointerSchema> {
  const parsed = pointerSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new MismatchError({
    code: "CHECKPOINT_INVALID",
    message: `the file does not point to a checkpoint: ${describeIssues(parsed.error)}`,
    fix: "start in another folder, or delete this one",
    where,
  });
}

async function readTensors(path: string): Promise<CheckpointTensor[]> {
  const store = await openSafetensorsFile(path);
  try {
    const tensors: CheckpointTensor[] = [];
    for (const name of store.names()) {
      const { shape, format } = store.info(name);
      tensors.push({
        name,
        shape,
        data: format === "I32" ? await store.readIntegers(name) : await store.readFloats(name),
      });
    }
    return tensors;
  } finally {
    await store.close();
  }
}
