import { describe, expect, it } from "vitest";
import { errorOf } from "./__fixtures__/load.ts";
import { blobSource, bytesSource } from "./byte-source.ts";

const bytes = Uint8Array.from({ length: 100 }, (_, index) => index);

describe.each([
  ["bytesSource", () => bytesSource(bytes, "memory")],
  ["blobSource", () => blobSource(new Blob([bytes]), "memory")],
] as const)("%s", (_name, open) => {
  it("reads any range, and nothing at the end", async () => {
    const source = open();
    expect(source.size).toBe(100);
    expect([...(await source.read(10, 3))]).toEqual([10, 11, 12]);
    expect(await source.read(100, 0)).toHaveLength(0);
    expect(await source.read(0, 100)).toEqual(bytes);
    await source.close();
  });

  it.each([
    [99, 2],
    [-1, 2],
    [0, -1],
    [0.5, 1],
    [2 ** 53, 1],
    [0, Number.NaN],
  ])("refuses %d + %d", async (offset, length) => {
    expect(await errorOf(() => open().read(offset, length))).toMatchObject({
      code: "SOURCE_TRUNCATED",
      where: "memory",
    });
  });

  it("stops on request", async () => {
    expect(await errorOf(() => open().read(0, 1, AbortSignal.abort()))).toMatchObject({
      code: "ABORTED",
    });
  });
});

it("gives copies of the bytes in memory", async () => {
  const source = bytesSource(bytes, "memory");
  (await source.read(0, 10)).fill(255);
  expect([...(await source.read(0, 2))]).toEqual([0, 1]);
});
