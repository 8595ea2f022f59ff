import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, readFile, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomDocuments } from "../__fixtures__/documents.ts";
import { fakeModel } from "../__fixtures__/fake-model.ts";
import { fakeHarvest } from "./__fixtures__/fake-harvest.ts";
import { contents, testFolders } from "./__fixtures__/folders.ts";
import { lockFile } from "./folder-lock.ts";
import { harvest } from "./harvest.ts";
import { openActivations } from "./open-activations.ts";

const folders = testFolders();
afterAll(folders.remove);

let whole: Record<string, string> = {};
let wholeRuns = 0;
beforeAll(async () => {
  const out = await folders.make();
  const options = fakeHarvest(out);
  await harvest(options);
  wholeRuns = options.model.runs;
  whole = await contents(out);
});

/** Harvests until `runs` batches ran, then aborts. */
async function harvestSome(out: string, runs: number): Promise<void> {
  const stop = new AbortController();
  const options = fakeHarvest(out, {
    signal: stop.signal,
    onProgress: () => {
      if (options.model.runs >= runs) stop.abort();
    },
  });
  await expect(harvest(options)).rejects.toMatchObject({ code: "ABORTED" });
  expect(options.model.live).toBe(0);
}

describe("a harvest that was stopped", () => {
  it.each([1, 3, 4, 5, 9, 14, 20])(
    "by abort after %i runs ends with the same bytes",
    async (runs) => {
      const out = await folders.make();
      await harvestSome(out, runs);
      const names = Object.keys(await contents(out));
      expect(names).not.toContain("manifest.json");
      expect(
        names.filter(
          (name) => !/^(journal\.json|(train|held-out)-\d{5}\.safetensors)$/u.test(name),
        ),
      ).toEqual([]);
      const options = fakeHarvest(out);
      await harvest(options);
      expect(await contents(out)).toEqual(whole);
      // Calibration is not repeated, nor are finished shards.
      if (runs > 4) expect(options.model.runs).toBeLessThan(wholeRuns);
    },
  );

  it("while many shards' contexts waited for the median norm, ends with the same bytes", async () => {
    const [one, out] = [await folders.make(), await folders.make()];
    const settings = { mask: { calibrationContexts: 60 }, shardTokens: 64 };
    await harvest(fakeHarvest(one, settings));
    const stop = new AbortController();
    const options = fakeHarvest(out, {
      ...settings,
      signal: stop.signal,
      onProgress: ({ stage, done }) => {
        if (stage === "harvest" && done > 300) stop.abort();
      },
    });
    await expect(harvest(options)).rejects.toMatchObject({ code: "ABORTED" });
    await harvest(fakeHarvest(out, settings));
    expect(await contents(out)).toEqual(await contents(one));
  });

  it("by kill -9, again and again, ends with the same bytes", async () => {
    const out = await folders.make();
    const child = fileURLToPath(new URL("__fixtures__/harvest-child.ts", import.meta.url));
    let killed = 0;
    for (const lines of [4, 9, 13]) {
      const process = spawn(
        "node",
        ["--import", "tsx", "--conditions=@latentkit/source", child, out, "40"],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      const exited = once(process, "exit");
      let seen = 0;
      for await (const line of createInterface(process.stdout)) {
        expect(line).toMatch(/^(calibrate mask|verify shards|harvest) \d+$/u);
        seen += 1;
        if (seen === lines) process.kill("SIGKILL");
      }
      const [, signal] = await exited;
      if (signal === "SIGKILL") killed += 1;
    }
    expect(killed).toBe(3);
    expect(Object.keys(await contents(out))).toContain(lockFile);
    await expect(openActivations(out)).rejects.toMatchObject({ code: "HARVEST_UNFINISHED" });
    await harvest(fakeHarvest(out));
    expect(await contents(out)).toEqual(whole);
  });

  it("makes a shard anew that the journal does not name, that is damaged or gone", async () => {
    const out = await folders.make();
    await harvestSome(out, 16);
    await truncate(join(out, "train-00000.safetensors"), 100);
    await unlink(join(out, "train-00001.safetensors"));
    await writeFile(join(out, "train-00009.safetensors"), "left by a killed run");
    await writeFile(join(out, "train-00003.safetensors.4711.0123abcd.tmp"), "left by a killed run");
    await harvest(fakeHarvest(out));
    expect({ ...(await contents(out)), "train-00009.safetensors": undefined }).toEqual({
      ...whole,
      "train-00009.safetensors": undefined,
    });
  });

  it("does not go on with other settings, and names the fields", async () => {
    const out = await folders.make();
    await harvestSome(out, 9);
    const before = await contents(out);
    const packing = { contextSize: 32, minimumTokens: 4 };
    await expect(harvest(fakeHarvest(out, { packing, dtype: "f16" }))).rejects.toMatchObject({
      code: "HARVEST_DIFFERS",
      message:
        'the folder holds another harvest: dtype was "f32" and is "f16"; packing.contextSize was 16 and is 32; contextsPerShard was 8 and is 4',
      fix: "use a new --out folder, or the settings of the old one",
    });
    const other = { ...fakeHarvest(out), model: fakeModel({ dIn: 4 }) };
    await expect(harvest(other)).rejects.toThrow("model.weightsHash");
    const machine = fakeModel();
    const moved = {
      ...machine,
      device: { info: { ...machine.device.info, matmul: "other blas" } },
    };
    await expect(harvest({ ...fakeHarvest(out), model: moved })).rejects.toThrow(
      'backend.matmul was "none" and is "other blas"',
    );
    expect(await contents(out)).toEqual(before);
  });

  it("does not go on with other text", async () => {
    const out = await folders.make();
    await harvestSome(out, 14);
    const changed = randomDocuments(60).map((document, index) =>
      index === 2 ? { ...document, text: `${document.text}.` } : document,
    );
    await expect(harvest(fakeHarvest(out, { documents: changed }))).rejects.toMatchObject({
      code: "HARVEST_TEXT_CHANGED",
    });
    await expect(
      harvest(fakeHarvest(out, { documents: randomDocuments(3) })),
    ).rejects.toMatchObject({ code: "HARVEST_TEXT_CHANGED" });
    await harvest(fakeHarvest(out));
    expect(await contents(out)).toEqual(whole);
  });
});

describe("a complete folder", () => {
  it("is only checked, whatever the model is called and whichever machine it is", async () => {
    const out = await folders.make();
    const manifest = await harvest(fakeHarvest(out));
    const model = fakeModel({ name: "renamed" });
    const again = { ...model, device: { info: { ...model.device.info, threads: 64 } } };
    expect(await harvest({ ...fakeHarvest(out), model: again })).toEqual(manifest);
    expect(model.runs).toBe(0);
    expect(await contents(out)).toEqual(whole);
  });

  it("is not taken for that of other text or settings", async () => {
    const out = await folders.make();
    await harvest(fakeHarvest(out));
    for (const documents of [randomDocuments(61), randomDocuments(59), randomDocuments(60, 1)]) {
      await expect(harvest(fakeHarvest(out, { documents }))).rejects.toMatchObject({
        code: "HARVEST_TEXT_CHANGED",
      });
    }
    await expect(harvest(fakeHarvest(out, { split: { seed: 5, heldOut: 0.25 } }))).rejects.toThrow(
      "split.seed was 0 and is 5",
    );
    expect(await contents(out)).toEqual(whole);
  });

  it("says so and is mended where a shard is damaged or gone", async () => {
    const out = await folders.make();
    await harvest(fakeHarvest(out));
    const path = join(out, "train-00001.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 300] = (bytes[bytes.length - 300] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const store = await openActivations(out);
    await expect(store.readShard(1)).rejects.toMatchObject({ code: "SHARD_CORRUPT", where: path });
    await expect(store.readShard(0)).resolves.toBeDefined();
    await appendFile(path, "x");
    await expect(openActivations(out)).rejects.toMatchObject({
      code: "SHARD_CORRUPT",
      where: path,
    });
    await rm(path);
    await expect(openActivations(out)).rejects.toMatchObject({
      code: "SHARD_MISSING",
      where: path,
    });
    const options = fakeHarvest(out);
    await harvest(options);
    expect(options.model.runs).toBe(2);
    expect(await contents(out)).toEqual(whole);
  });

  it("is refused where the manifest is of no known form, or does not add up", async () => {
    const out = await folders.make();
    await expect(openActivations(out)).rejects.toMatchObject({ code: "ACTIVATIONS_MISSING" });
    const manifest = await harvest(fakeHarvest(out));
    const rewrite = (changes: object) =>
      writeFile(join(out, "manifest.json"), JSON.stringify({ ...manifest, ...changes }));
    await rewrite({ schemaVersion: 2 });
    await expect(openActivations(out)).rejects.toThrow("schemaVersion");
    await rewrite({
      shards: manifest.shards.map((shard) => ({ ...shard, file: "../../etc/passwd" })),
    });
    await expect(openActivations(out)).rejects.toThrow("plain file name");
    await rewrite({ shards: manifest.shards.slice(1) });
    await expect(openActivations(out)).rejects.toMatchObject({ code: "MANIFEST_COUNTS" });
  });
});

describe("the lock", () => {
  it("lets one harvest write at a time", async () => {
    const out = await folders.make();
    const [first, second] = await Promise.allSettled([
      harvest(fakeHarvest(out, { delay: 2 })),
      harvest(fakeHarvest(out)),
    ]);
    const failed = [first, second].filter((result) => result.status === "rejected");
    expect(failed).toHaveLength(1);
    expect(failed[0]?.reason).toMatchObject({ code: "OUT_LOCKED", where: join(out, lockFile) });
    expect(await contents(out)).toEqual(whole);
  });

  it.each([
    ["of a process that is gone", { pid: 2 ** 30, host: hostname(), started: "1" }],
    ["of a process whose id went to another", { pid: process.pid, host: hostname(), started: "1" }],
    ["that is empty", null],
  ])("%s is taken over", async (_, record) => {
    const out = await folders.make();
    await writeFile(join(out, lockFile), record === null ? "" : JSON.stringify(record));
    // Where the system does not say when processes started, a reused id cannot be told.
    const known = process.platform === "linux" || record?.pid !== process.pid;
    if (known) {
      await harvest(fakeHarvest(out));
      expect(await contents(out)).toEqual(whole);
    } else {
      await expect(harvest(fakeHarvest(out))).rejects.toMatchObject({ code: "OUT_LOCKED" });
    }
  });

  it("of another host is respected", async () => {
    const out = await folders.make();
    await writeFile(
      join(out, lockFile),
      JSON.stringify({ pid: 1, host: `${hostname()}-other`, started: null }),
    );
    await expect(harvest(fakeHarvest(out))).rejects.toMatchObject({ code: "OUT_LOCKED" });
    expect(Object.keys(await contents(out))).toEqual([lockFile]);
  });
});
