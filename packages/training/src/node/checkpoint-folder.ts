import { LatentkitError } from "@latentkit/core";
import {
  openSafetensorsFile,
  readJson,
  writeFileAtomic,
  writeSafetensors,
} from "@latentkit/loaders/node";
import { appendFile, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { CheckpointKind, CheckpointStore, CheckpointTensor } from "../checkpoint.ts";
import type { MetricsPoint } from "../metrics.ts";

const pointerSchema = z.object({
  schemaVersion: z.literal(1),
  // A name inside the folder; anything with a separator could reach outside it.
  tensors: z
    .string()
    .regex(
      /^(?:newest|stable)-\d+-[0-9a-f]{8}\.safetensors$/u,
      "expected newest-<step>-<hash>.safetensors",
    ),
  state: z.unknown(),
});

/**
 * Checkpoints in a folder: `newest.json` points to `newest-<step>-<hash>.safetensors`, which is written before it, so that a kill at any
 * moment leaves a whole one; likewise `stable.json`. `metrics.jsonl` has a line for each point.
 *
 * @throws IoError when saving, `DISK_FULL` for example; the older checkpoint is then still whole. FormatError when a file is not
 *   what it should be.
 */
export function checkpointFolder(folder: string): CheckpointStore {
  const metrics = join(folder, "metrics.jsonl");
  const pointer = (kind: CheckpointKind): string => join(folder, `${kind}.json`);
  return {
    name: folder,
    async load(kind) {
      const found = await readJson(pointer(kind), pointerSchema).catch((error: unknown) => {
        if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING") return null;
        throw error;
      });
      return found === null
        ? null
        : { state: found.state, tensors: await readTensors(join(folder, found.tensors)) };
    },
    async save({ state, tensors }, kind) {
      await mkdir(folder, { recursive: true });
      // With the hash, a file that the pointer still needs is never replaced by one of other content.
      const name = `${kind}-${state.step}-${state.tensorsHash.slice(0, 8)}.safetensors`;
      await writeSafetensors(
        join(folder, name),
        tensors.map(({ name: tensor, shape, data }) => ({
          name: tensor,
          shape,
          dtype: "f32",
          bytes: data,
        })),
      );
      const content = { schemaVersion: 1, tensors: name, state };
      await writeFileAtomic(pointer(kind), `${JSON.stringify(content)}\n`);
      // Older ones, and what a killed run was writing.
      const old = new RegExp(`^${kind}-\\d+-[0-9a-f]{8}\\.safetensors$|^${kind}[-.].*\\.tmp$`, "u");
      for (const file of await readdir(folder))
        if (old.test(file) && file !== name) await rm(join(folder, file), { force: true });
    },
    async resetMetrics(points) {
      await mkdir(folder, { recursive: true });
      await writeFileAtomic(metrics, points.map(lineOf).join(""));
    },
    appendMetrics: (point) => appendFile(metrics, lineOf(point)),
  };
}

function lineOf(point: MetricsPoint): string {
  return `${JSON.stringify(point)}\n`;
}

async function readTensors(path: string): Promise<CheckpointTensor[]> {
  const store = await openSafetensorsFile(path);
  try {
    const tensors: CheckpointTensor[] = [];
    for (const name of store.names())
      tensors.push({ name, shape: store.info(name).shape, data: await store.readFloats(name) });
    return tensors;
  } finally {
    await store.close();
  }
}
