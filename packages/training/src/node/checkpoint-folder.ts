import { LatentkitError } from "@latentkit/core";
import type { TensorToWrite } from "@latentkit/loaders";
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
import { fromEightBits, toEightBits } from "../eight-bits.ts";
import type { MetricsPoint } from "../metrics.ts";

/** After the name of a tensor in 8 bits, for its scales. */
const scalesSuffix = ".scales";

const pointerSchema = z.object({
  schemaVersion: z.literal(1),
  // A name inside the folder; anything with a separator could reach outside it.
  tensors: z
    .string()
    .regex(
      /^(?:newest|stable|waypoint)-\d+-[0-9a-f]{8}\.safetensors$/u,
      "expected newest-<step>-<hash>.safetensors",
    ),
  state: z.unknown(),
});

/**
 * Checkpoints in a folder: `newest.json` points to `newest-<step>-<hash>.safetensors`, which is written before it, so that a kill at any
 * moment leaves a whole one; likewise `stable.json` and `waypoint.json`, whose matrices take 8 bits a weight. `metrics.jsonl` has a line for each point.
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
        tensors.flatMap(kind === "waypoint" ? eightBits : floats),
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

function floats({ name, shape, data }: CheckpointTensor): TensorToWrite[] {
  return [{ name, shape, dtype: "f32", bytes: data }];
}

/** Matrices in 8 bits, which loses nothing: a waypoint has rounded them already. */
function eightBits(tensor: CheckpointTensor): TensorToWrite[] {
  const { name, shape, data } = tensor;
  if (shape.length < 2) return floats(tensor);
  const { codes, scales, scalesShape } = toEightBits(data, shape);
  return [
    { name, shape, dtype: "u8", bytes: codes },
    { name: `${name}${scalesSuffix}`, shape: scalesShape, dtype: "f32", bytes: scales },
  ];
}

async function readTensors(path: string): Promise<CheckpointTensor[]> {
  const store = await openSafetensorsFile(path);
  try {
    const tensors: CheckpointTensor[] = [];
    for (const name of store.names()) {
      if (name.endsWith(scalesSuffix)) continue;
      const { shape, format } = store.info(name);
      const data =
        format === "U8"
          ? fromEightBits(
              {
                codes: await store.readBytes(name),
                scales: await store.readFloats(`${name}${scalesSuffix}`),
              },
              shape,
            )
          : await store.readFloats(name);
      tensors.push({ name, shape, data });
    }
    return tensors;
  } finally {
    await store.close();
  }
}
