import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { errorOf } from "../__fixtures__/load.ts";
import { openFile } from "./file-source.ts";
import { writeFileAtomic } from "./write-file-atomic.ts";
import { writeSafetensors } from "./write-safetensors.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-write-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("writeFileAtomic", () => {
  it("writes bytes, text and pieces, and replaces what was there", async () => {
    const path = join(folder, "a");
    await writeFileAtomic(path, Uint8Array.of(1, 2));
    expect([...(await readFile(path))]).toEqual([1, 2]);
    await writeFileAtomic(path, "naïve");
    expect(await readFile(path, "utf8")).toBe("naïve");
    await writeFileAtomic(path, [Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2)]);
    expect([...(await readFile(path))]).toEqual([1, 2]);
    expect(await readdir(folder)).toEqual(["a"]);
  });

  it("leaves the old file and nothing else when a piece fails", async () => {
    const path = join(folder, "kept");
    await writeFile(path, "old");
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1);
      throw new RangeError("no second piece");
    }
    await expect(writeFileAtomic(path, pieces())).rejects.toThrow("no second piece");
    expect(await readFile(path, "utf8")).toBe("old");
    expect((await readdir(folder)).filter((name) => name.includes("tmp"))).toEqual([]);
  });

  it("stops on request and keeps the old file", async () => {
    const path = join(folder, "stopped");
    await writeFile(path, "old");
    const controller = new AbortController();
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1);
      controller.abort();
      yield Uint8Array.of(2);
    }
    const error = await errorOf(() =>
      writeFileAtomic(path, pieces(), { signal: controller.signal }),
    );
    expect(error).toMatchObject({ code: "ABORTED" });
    expect(error.message).toContain(`${path} is as it was`);
    expect(await readFile(path, "utf8")).toBe("old");
    expect((await readdir(folder)).filter((name) => name.includes("tmp"))).toEqual([]);
  });

  it("says which folder is missing or a file", async () => {
    const missing = join(folder, "none", "a");
    expect(await errorOf(() => writeFileAtomic(missing, "x"))).toMatchObject({
      code: "FILE_MISSING",
      where: missing,
      name: "IoError",
    });
    await writeFile(join(folder, "file"), "");
    expect(await errorOf(() => writeFileAtomic(join(folder, "file", "a"), "x"))).toMatchObject({
      code: "FILE_MISSING",
    });
    await mkdir(join(folder, "sub"));
    expect(await errorOf(() => writeFileAtomic(join(folder, "sub"), "x"))).toMatchObject({
      name: "IoError",
    });
  });
});

describe("a full disk", () => {
  const tensors = [
    { name: "a", dtype: "f32" as const, shape: [1 << 16], bytes: new Float32Array(1 << 16) },
  ];

  it("is told in the middle of a file, which is removed", async () => {
    const path = join(folder, "full.safetensors");
    await writeFile(path, "old");
    let room = 100_000;
    const openTemporary = async (name: string): Promise<Awaited<ReturnType<typeof open>>> => {
      const handle = await open(name, "wx");
      const write = handle.write.bind(handle);
      // A write takes what there is room for, the next one fails: so does a real disk.
      return Object.assign(handle, {
        write: async (bytes: Uint8Array, offset: number, length: number) => {
          const possible = Math.min(room, length);
          if (possible === 0)
            throw Object.assign(new RangeError("ENOSPC: no space left on device, write"), {
              code: "ENOSPC",
            });
          room -= possible;
          return write(bytes, offset, possible);
        },
      });
    };
    const error = await errorOf(() => writeSafetensors(path, tensors, {}, { openTemporary }));
    expect(error).toMatchObject({ code: "DISK_FULL", where: path, name: "IoError" });
    expect(await readFile(path, "utf8")).toBe("old");
    expect((await readdir(folder)).filter((name) => name.includes("full"))).toEqual([
      "full.safetensors",
    ]);
  });

  it.runIf(existsSync("/dev/full"))("is told by the system's own full device", async () => {
    const path = join(folder, "device");
    expect(
      await errorOf(() =>
        writeFileAtomic(path, "x", { openTemporary: () => open("/dev/full", "w") }),
      ),
    ).toMatchObject({ code: "DISK_FULL" });
    expect(existsSync(path)).toBe(false);
  });

  it("is told by a real file system of 64 KiB, where one can be mounted", async (context) => {
    const mount = join(folder, "mount");
    await mkdir(mount);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], { stdio: "pipe" });
    } catch (error) {
      context.skip(
        `a tmpfs cannot be mounted here (it needs root): ${String(error).split("\n")[0]}`,
      );
    }
    try {
      const path = join(mount, "a.safetensors");
      expect(await errorOf(() => writeSafetensors(path, tensors))).toMatchObject({
        code: "DISK_FULL",
        where: path,
      });
      expect(await readdir(mount)).toEqual([]);
      await writeSafetensors(path, [
        { name: "a", dtype: "f32", shape: [16], bytes: new Float32Array(16) },
      ]);
      expect(await readdir(mount)).toEqual(["a.safetensors"]);
    } finally {
      execFileSync("umount", [mount], { stdio: "pipe" });
    }
  });
});

describe("openFile", () => {
  it("reads any range until it is closed", async () => {
    const path = join(folder, "range");
    await writeFile(
      path,
      Uint8Array.from({ length: 100 }, (_, index) => index),
    );
    const source = await openFile(path);
    expect(source).toMatchObject({ name: path, size: 100 });
    expect([...(await source.read(98, 2))]).toEqual([98, 99]);
    expect(await errorOf(() => source.read(98, 3))).toMatchObject({
      code: "SOURCE_TRUNCATED",
      where: path,
    });
    expect(await errorOf(() => source.read(0, 1, AbortSignal.abort()))).toMatchObject({
      code: "ABORTED",
    });
    await writeFile(path, "short");
    expect(await errorOf(() => source.read(0, 100))).toMatchObject({ code: "SOURCE_TRUNCATED" });
    await source.close();
  });

  it("refuses what is no file", async () => {
    expect(await errorOf(() => openFile(join(folder, "none")))).toMatchObject({
      code: "FILE_MISSING",
    });
    expect(await errorOf(() => openFile(folder))).toMatchObject({ code: "FILE_IS_FOLDER" });
  });
});
