import { open } from "node:fs/promises";
import type * as LoadersNode from "@latentkit/loaders/node";
import { afterAll, expect, it, vi } from "vitest";
import { fakeHarvest } from "./__fixtures__/fake-harvest.ts";
import { contents, testFolders } from "./__fixtures__/folders.ts";
import { harvest } from "./harvest.ts";

/** Shards that still fit on the disk. */
const disk = vi.hoisted(() => ({ room: Number.POSITIVE_INFINITY }));

vi.mock("@latentkit/loaders/node", async (original) => {
  const loaders = await original<typeof LoadersNode>();
  return {
    ...loaders,
    writeSafetensors: (
      ...[path, tensors, metadata, options]: Parameters<typeof loaders.writeSafetensors>
    ) => {
      disk.room -= 1;
      if (disk.room >= 0) return loaders.writeSafetensors(path, tensors, metadata, options);
      return loaders.writeSafetensors(path, tensors, metadata, {
        ...options,
        openTemporary: openOnFullDisk,
      });
    },
  };
});

/** A file that takes its first piece and then finds the disk full. */
async function openOnFullDisk(path: string) {
  const file = await open(path, "wx");
  let pieces = 0;
  return {
    write: (bytes: Uint8Array, offset: number, length: number) => {
      pieces += 1;
      if (pieces === 1) return file.write(bytes, offset, length);
      return Promise.reject(
        Object.assign(new RangeError("no space left on device"), { code: "ENOSPC" }),
      );
    },
    sync: () => file.sync(),
    close: () => file.close(),
  };
}

const folders = testFolders();
afterAll(folders.remove);

it("a full disk stops the harvest with nothing lost, and it goes on once there is room", async () => {
  const [whole, out] = [await folders.make(), await folders.make()];
  await harvest(fakeHarvest(whole));
  disk.room = 5;
  const options = fakeHarvest(out);
  await expect(harvest(options)).rejects.toMatchObject({ code: "DISK_FULL" });
  expect(options.model.live).toBe(0);
  const names = Object.keys(await contents(out));
  expect(names.filter((name) => name.endsWith(".safetensors"))).toHaveLength(5);
  expect(names.filter((name) => !name.endsWith(".safetensors"))).toEqual(["journal.json"]);
  disk.room = Number.POSITIVE_INFINITY;
  const again = fakeHarvest(out);
  await harvest(again);
  expect(await contents(out)).toEqual(await contents(whole));
});
