import { IoError, Random } from "@latentkit/core";
import { openSafetensorsFile } from "@latentkit/loaders/node";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { type CheckpointStore, memoryCheckpoints } from "../checkpoint.ts";
import type { TrainingConfigInput } from "../config.ts";
import { smallRun, tokensPerStep } from "../testing/small-run.ts";
import { trainLanguageModel as trainWith } from "../train-language-model.ts";
import { checkpointFolder } from "./checkpoint-folder.ts";
import { trainLanguageModel } from "./train-language-model.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-training-"));
const device = new Device(createReferenceBackend());
afterEach(() => expectNoLeaks(device));
afterAll(() => {
  rmSync(folder, { recursive: true });
  device.dispose();
});

type Extras = Partial<Parameters<typeof trainLanguageModel>[0]>;

/** Trains to the end and returns all that must be equal bit for bit; speeds are left out. */
async function finish(
  steps: number,
  checkpointDir: string,
  overrides: Partial<TrainingConfigInput> = {},
): Promise<unknown> {
  const run = await smallRun(device, steps, overrides);
  using model = run.model;
  const { points, ...result } = await trainLanguageModel({ ...run, checkpointDir });
  const weights: Record<string, unknown> = {};
  for (const [name, tensor] of Object.entries(model.trainableParameters()))
    weights[name] = await tensor.floats();
  const files = readdirSync(checkpointDir).filter((name) => name !== "metrics.jsonl");
  const tensors = files.find((name) => /^newest-.*\.safetensors$/u.test(name)) ?? "";
  return {
    files,
    result,
    weights,
    points: points.map((point) => ({ ...point, tokensPerSecond: null })),
    metrics: metricsOf(checkpointDir),
    bytes: readFileSync(join(checkpointDir, tensors)).toString("base64"),
  };
}

function metricsOf(checkpointDir: string): unknown[] {
  return readFileSync(join(checkpointDir, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line): unknown => ({ ...JSON.parse(line), tokensPerSecond: null }));
}

/** Trains until so many steps are done, and is then told to stop. */
async function stopAfter(
  step: number,
  steps: number,
  checkpointDir: string,
  extras: Extras & { overrides?: Partial<TrainingConfigInput> } = {},
): Promise<void> {
  const { overrides, ...others } = extras;
  const run = await smallRun(device, steps, overrides);
  using _ = run.model;
  const controller = new AbortController();
  const training = trainLanguageModel({
    ...run,
    checkpointDir,
    signal: controller.signal,
    onProgress: ({ done }) => (done === step * tokensPerStep ? controller.abort() : undefined),
    ...others,
  });
  await expect(training).rejects.toThrow(
    new RegExp(`the checkpoint of step ${step} is in .*training-`, "u"),
  );
}

describe("a run that is taken up again", () => {
  it("ends with the same bytes after being aborted at random steps", async () => {
    const steps = 16;
    const whole = await finish(steps, join(folder, "whole"));
    const random = new Random(11);
    for (let round = 0; round < 4; round++) {
      const dir = join(folder, `aborted-${round}`);
      const stops = Array.from({ length: 3 }, () => 1 + random.integer(steps - 1));
      for (const stop of [...new Set(stops)].sort((a, b) => a - b))
        await stopAfter(stop, steps, dir);
      expect(await finish(steps, dir), `stopped after ${stops.join(", ")}`).toEqual(whole);
    }
    // Once more, when there is nothing left to do.
    expect(await finish(steps, join(folder, "whole"))).toEqual(whole);
  });

  it("ends with the same bytes after a checkpoint could not be written", async () => {
    const steps = 12;
    const whole = await finish(steps, join(folder, "written"));
    const dir = join(folder, "full");
    const kept = checkpointFolder(dir);
    let saves = 0;
    const full: CheckpointStore = {
      ...kept,
      save: (checkpoint, kind) =>
        ++saves === 5
          ? Promise.reject(
              new IoError({
                code: "DISK_FULL",
                message: "the disk is full",
                fix: "free some space",
              }),
            )
          : kept.save(checkpoint, kind),
    };
    const run = await smallRun(device, steps);
    await expect(trainWith({ ...run, checkpoints: full })).rejects.toMatchObject({
      code: "DISK_FULL",
    });
    run.model.dispose();
    expect(await finish(steps, dir)).toEqual(whole);
  });

  it("ends with the same bytes after being killed", async () => {
    const steps = 60;
    const dir = join(folder, "killed");
    for (const delay of [0, 150]) {
      const child = spawn(
        process.execPath,
        [
          "--import",
          "tsx",
          "--conditions=@latentkit/source",
          fileURLToPath(new URL("../testing/train-child.ts", import.meta.url)),
          dir,
          String(steps),
        ],
        { stdio: ["ignore", "ignore", "pipe"] },
      );
      let complaints = "";
      child.stderr.on("data", (text: Buffer) => (complaints += text.toString()));
      const ended = once(child, "exit");
      const started = metricsSize(dir);
      while (metricsSize(dir) === started && child.exitCode === null) await sleep(5);
      await sleep(delay);
      child.kill("SIGKILL");
      await ended;
      expect(child.signalCode, complaints).toBe("SIGKILL");
    }
    // What a kill in the middle of a line leaves.
    appendFileSync(join(dir, "metrics.jsonl"), '{"step":');
    expect(await finish(steps, dir)).toEqual(await finish(steps, join(folder, "not-killed")));
  });
});

function metricsSize(dir: string): number {
  const path = join(dir, "metrics.jsonl");
  return existsSync(path) ? readFileSync(path).length : 0;
}

describe("a run with waypoints", () => {
  const overrides = { waypointTokens: 4 * tokensPerStep };

  it("ends with the same bytes from a waypoint alone", async () => {
    const steps = 16;
    const whole = await finish(steps, join(folder, "waypoints"), overrides);
    const source = join(folder, "left-at-a-waypoint");
    await stopAfter(10, steps, source, { overrides });
    const moved = join(folder, "moved");
    mkdirSync(moved);
    for (const file of readdirSync(source).filter((name) => name.startsWith("waypoint")))
      copyFileSync(join(source, file), join(moved, file));
    const state = JSON.parse(readFileSync(join(moved, "waypoint.json"), "utf8")).state;
    expect(state).toMatchObject({ step: 8, optimiser: { updates: 8 } });
    expect(await finish(steps, moved, overrides)).toEqual(whole);
    // It is not merely a copy of an ordinary checkpoint: without waypoints the run ends elsewhere.
    const { weights } = (await finish(steps, join(folder, "no-waypoints"))) as { weights: object };
    expect(weights).not.toEqual((whole as { weights: object }).weights);
  });

  it("keeps matrices in a byte a weight, and has none once weights are averaged", async () => {
    const dir = join(folder, "small-waypoint");
    await finish(16, dir, overrides);
    const file = readdirSync(dir).find((name) => name.startsWith("waypoint-")) ?? "";
    expect(file).toMatch(/^waypoint-8-/u); // weights are averaged from step 11
    const store = await openSafetensorsFile(join(dir, file));
    const matrix = "weights/model.layers.0.mlp.up_proj.weight";
    expect(store.info(matrix)).toMatchObject({ format: "U8", shape: [12, 8] });
    expect(store.names().filter((name) => !name.startsWith("weights/"))).toEqual([]);
    await store.close();
  });
});

describe("a run that is given more tokens", () => {
  it("ends as if it had been planned so, before its decay and after its end", async () => {
    const planned = await finish(24, join(folder, "planned"));
    await stopAfter(8, 16, join(folder, "early"));
    expect(await finish(24, join(folder, "early"))).toEqual(planned);
    await finish(16, join(folder, "ended"));
    expect(await finish(24, join(folder, "ended"))).toEqual(planned);
    // Killed again in the middle, long after the old decay began.
    await finish(16, join(folder, "twice"));
    await stopAfter(15, 24, join(folder, "twice"));
    expect(await finish(24, join(folder, "twice"))).toEqual(planned);
  });

  it("cannot be shortened to what it has passed", async () => {
    await finish(16, join(folder, "long"));
    await expect(finish(8, join(folder, "long"))).rejects.toThrow(/tokens was 768, is 384/u);
  });
});

describe("a checkpoint of another run", () => {
  const dir = join(folder, "other");

  it.each([
    [{ learningRate: 1 }, "CHECKPOINT_CONFIG", /learningRate was 0\.01, is 1/u],
    [{ warmUpSteps: 4 }, "CHECKPOINT_CONFIG", /warmUpSteps was 3, is 4/u],
    [{ microBatch: 4 }, "CHECKPOINT_CONFIG", /microBatch was 2, is 4/u],
    [{ floor: 0.5 }, "CHECKPOINT_ENDING", /floor was 0, is 0\.5/u],
  ] as const)("is refused for %o", async (overrides, code, message) => {
    if (!existsSync(dir)) await stopAfter(12, 16, dir);
    rmSync(join(dir, "stable.json"), { force: true });
    const error = await finish(16, dir, overrides).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code, where: dir });
    expect(String(error)).toMatch(message);
  });

  it("goes on with fields that change no weight", async () => {
    const quiet = { validateEvery: 1e6, checkpointSeconds: 3600 };
    await expect(stopAfter(14, 16, dir, { overrides: quiet })).resolves.toBeUndefined();
  });

  it("is refused for another model, other data and another backend", async () => {
    const saved = await checkpointFolder(dir).load("newest");
    const state = saved?.state as Record<string, unknown>;
    const changed = (field: string, value: object): CheckpointStore => ({
      ...memoryCheckpoints("the folder"),
      load: () =>
        Promise.resolve({
          state: { ...state, [field]: { ...(state[field] as object), ...value } },
          tensors: saved?.tensors ?? [],
        }),
    });
    const cases = [
      ["model", { layers: 3 }, /another model: layers was 3, is 2/u],
      ["stream", { tokenizer: "x" }, /another stream of contexts: tokenizer was "x", is/u],
      ["backend", { threads: 7 }, /another backend.*threads was 7, is/u],
    ] as const;
    for (const [field, value, message] of cases) {
      const run = await smallRun(device, 16);
      await expect(trainWith({ ...run, checkpoints: changed(field, value) })).rejects.toThrow(
        message,
      );
      run.model.dispose();
    }
    const run = await smallRun(device, 16);
    const { steps } = await trainWith({
      ...run,
      checkpoints: changed("backend", { threads: 7 }),
      allowOtherBackend: true,
    });
    expect(steps).toBe(16);
    run.model.dispose();
  });
});

describe("a checkpoint that was damaged", () => {
  it.each([
    ["cut short", (path: string) => truncateSync(path, 2000), /FORMAT|truncat|bytes/iu],
    [
      "changed in one byte",
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[bytes.length - 5] = (bytes.at(-5) ?? 0) ^ 1;
        writeFileSync(path, bytes);
      },
      /not those that its state was written with/u,
    ],
    ["removed", (path: string) => rmSync(path), /no such|missing|not.*file/iu],
  ] as const)("is refused when its tensors were %s", async (name, damage, message) => {
    const dir = join(folder, name.replaceAll(" ", "-"));
    await stopAfter(3, 8, dir);
    const file = readdirSync(dir).find((entry) => /^newest-.*\.s/u.test(entry)) ?? "";
    damage(join(dir, file));
    await expect(finish(8, dir)).rejects.toThrow(message);
  });

  it("is refused when its state is not one", async () => {
    const dir = join(folder, "garbled");
    await stopAfter(3, 8, dir);
    const path = join(dir, "newest.json");
    const content = JSON.parse(readFileSync(path, "utf8"));
    for (const [text, code] of [
      ["{", "JSON_SYNTAX"],
      [JSON.stringify({ ...content, tensors: "../../secret.safetensors" }), "JSON_SCHEMA"],
      [JSON.stringify({ ...content, state: { step: "x" } }), "CHECKPOINT_INVALID"],
    ] as const) {
      writeFileSync(path, text);
      await expect(finish(8, dir)).rejects.toMatchObject({ code });
    }
  });
});
