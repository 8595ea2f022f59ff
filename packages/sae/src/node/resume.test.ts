import { IoError } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { smallRun, type SmallRunKind, smallRunKinds } from "../testing/small-run.ts";
import { type CheckpointStore, memoryCheckpoints } from "../train/checkpoint.ts";
import { trainSae as trainWith } from "../train/train-sae.ts";
import { trainSae } from "./train-sae.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-resume-"));
const device = new Device(createReferenceBackend());
afterAll(() => {
  rmSync(folder, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

/** Trains to the end and returns all that must be equal bit for bit. */
async function finish(kind: SmallRunKind, steps: number, checkpointDir: string): Promise<unknown> {
  const { sae, history } = await trainSae({ ...smallRun(kind, device, steps), checkpointDir });
  const identity = await sae.identity();
  sae.dispose();
  const tensors = readFileSync(join(checkpointDir, `checkpoint-${steps}.safetensors`)).toString(
    "base64",
  );
  return {
    identity,
    history,
    tensors,
    metrics: readFileSync(join(checkpointDir, "metrics.jsonl"), "utf8"),
  };
}

describe.each(smallRunKinds)("%s", (kind) => {
  it("ends with the same bytes after being aborted twice", async () => {
    const whole = await finish(kind, 14, join(folder, `${kind}-whole`));
    const dir = join(folder, `${kind}-aborted`);
    for (const stopAt of [5, 9]) {
      const controller = new AbortController();
      const run = trainSae({
        ...smallRun(kind, device, 14),
        checkpointDir: dir,
        signal: controller.signal,
        onProgress: ({ done }) => (done === stopAt * 32 ? controller.abort() : undefined),
      });
      await expect(run).rejects.toThrow(
        new RegExp(`checkpoint of step ${stopAt} is in .*aborted`, "u"),
      );
      expect(readdirSync(dir).filter((file) => file.endsWith(".safetensors"))).toEqual([
        `checkpoint-${stopAt}.safetensors`,
      ]);
    }
    expect(await finish(kind, 14, dir)).toEqual(whole);
  });

  it("ends with the same bytes after a checkpoint could not be written", async () => {
    const whole = memoryCheckpoints();
    const first = await trainWith({ ...smallRun(kind, device, 10), checkpoints: whole });
    const kept = memoryCheckpoints();
    let saves = 0;
    const full: CheckpointStore = {
      ...kept,
      save: (checkpoint) =>
        ++saves === 2
          ? Promise.reject(
              new IoError({
                code: "DISK_FULL",
                message: "the disk is full",
                fix: "free some space",
              }),
            )
          : kept.save(checkpoint),
    };
    await expect(
      trainWith({ ...smallRun(kind, device, 10), checkpoints: full }),
    ).rejects.toMatchObject({ code: "DISK_FULL" });
    const second = await trainWith({ ...smallRun(kind, device, 10), checkpoints: kept });
    expect(await second.sae.identity()).toBe(await first.sae.identity());
    expect(second.history).toEqual(first.history);
    expect(await kept.load()).toEqual(await whole.load());
    first.sae.dispose();
    second.sae.dispose();
  });
});

it("has latents die, so that resuming covers their accounting", async () => {
  const { sae, history } = await trainSae(smallRun("topk", device, 14));
  sae.dispose();
  expect(history.points.at(-1)?.deadCount).toBeGreaterThan(0);
});

describe("a checkpoint folder", () => {
  it("of another version, or without sense, is explained and left as it is", async () => {
    const dir = join(folder, "versions");
    const run = smallRun("topk", device, 4);
    (await trainSae({ ...run, checkpointDir: dir })).sae.dispose();
    const pointer = join(dir, "checkpoint.json");
    const json: unknown = JSON.parse(readFileSync(pointer, "utf8"));
    for (const [change, code] of [
      [{ schemaVersion: 7 }, "CHECKPOINT_VERSION"],
      [{ tensors: "../elsewhere.safetensors" }, "CHECKPOINT_INVALID"],
    ] as const) {
      const text = JSON.stringify(Object.assign({}, json, change));
      writeFileSync(pointer, text);
      await expect(trainSae({ ...run, checkpointDir: dir })).rejects.toMatchObject({
        code,
        where: pointer,
      });
      expect(readFileSync(pointer, "utf8")).toBe(text);
    }
  });
});

describe("a checkpoint of another run", () => {
  const store = memoryCheckpoints("the folder");

  it("is refused, saying what differs", async () => {
    const run = smallRun("topk", device, 6);
    (await trainWith({ ...run, checkpoints: store })).sae.dispose();
    await expect(
      trainWith({ ...run, config: { ...run.config, learningRate: 1 }, checkpoints: store }),
    ).rejects.toThrow(/learningRate was 0\.003, is 1/u);
    const narrow = {
      ...run.batches,
      dIn: 5,
      uniqueTokens: 10,
      next: (size: number) => run.batches.next(size),
      state: () => run.batches.state(),
      restore: (state: unknown) => run.batches.restore(state),
    };
    await expect(
      trainWith({ ...run, batches: narrow, heldOut: new Float32Array(5), checkpoints: store }),
    ).rejects.toMatchObject({ code: "CHECKPOINT_WIDTH" });
    const garbled: CheckpointStore = {
      ...store,
      load: () => Promise.resolve({ state: { step: "x" }, tensors: [] }),
    };
    await expect(trainWith({ ...run, checkpoints: garbled })).rejects.toMatchObject({
      code: "CHECKPOINT_INVALID",
    });
    const later: CheckpointStore = {
      ...store,
      load: () => Promise.resolve({ state: { schemaVersion: 2 }, tensors: [] }),
    };
    await expect(trainWith({ ...run, checkpoints: later })).rejects.toMatchObject({
      code: "CHECKPOINT_VERSION",
      message: "the checkpoint has schemaVersion 2; this version of the package reads 1",
    });
    const saved = await store.load();
    const partial: CheckpointStore = {
      ...store,
      load: () =>
        Promise.resolve(
          saved === null
            ? null
            : { ...saved, tensors: saved.tensors.filter(({ name }) => name !== "decoder.second") },
        ),
    };
    await expect(trainWith({ ...run, checkpoints: partial })).rejects.toThrow(
      /"decoder\.second" is missing/u,
    );
  });

  it("is refused on another backend, unless that is allowed", async () => {
    const saved = await store.load();
    const state =
      typeof saved?.state === "object"
        ? { ...saved.state, backend: { name: "cpu", matmul: "openblas", threads: 2, build: "0" } }
        : null;
    const other: CheckpointStore = {
      ...store,
      load: () => Promise.resolve({ state, tensors: saved?.tensors ?? [] }),
    };
    await expect(trainWith({ ...smallRun("topk", device, 6), checkpoints: other })).rejects.toThrow(
      /matmul was "openblas", is "reference"/u,
    );
    (
      await trainWith({
        ...smallRun("topk", device, 6),
        checkpoints: other,
        allowOtherBackend: true,
      })
    ).sae.dispose();
  });
});
