import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { bytesSource } from "./byte-source.ts";
import { fileStore } from "./file-store.ts";
import { openFile } from "./node/file-source.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-file-store-"));
afterAll(() => rmSync(folder, { recursive: true }));

const content = Uint8Array.from({ length: 100 }, (_, index) => (index * 37) % 256);
const path = join(folder, "weights.bin");
writeFileSync(path, content);
const placed = {
  info: { name: "w", shape: [90], format: "I8", byteLength: 90 } as const,
  offset: 10,
};

async function pieces(
  source: Awaited<ReturnType<typeof openFile>>,
  buffer: Uint8Array<ArrayBuffer>,
) {
  const store = fileStore(source, new Map([["w", placed]]));
  const found = [];
  // Each is looked at before the next one is asked for.
  for await (const { byteOffset, bytes } of store.readPieces("w", { pieceBytes: 40, buffer }))
    found.push({ byteOffset, bytes: [...bytes], shared: bytes.buffer === buffer.buffer });
  await store.close();
  return found;
}

describe("a tensor in pieces, with memory for them", () => {
  const whole = (from: number, to: number) => [...content.subarray(10 + from, 10 + to)];
  const expected = (shared: boolean) => [
    { byteOffset: 0, bytes: whole(0, 40), shared },
    { byteOffset: 40, bytes: whole(40, 80), shared },
    { byteOffset: 80, bytes: whole(80, 90), shared },
  ];

  it("comes into that memory from a file", async () => {
    expect(await pieces(await openFile(path), new Uint8Array(64))).toEqual(expected(true));
  });

  it("leaves memory alone that is smaller than a piece", async () => {
    const [first, second, last] = expected(false);
    const found = await pieces(await openFile(path), new Uint8Array(16));
    expect(found).toEqual([first, second, { ...last, shared: true }]);
  });

  it("comes as copies from sources that cannot use it", async () => {
    const source = bytesSource(content, "memory");
    expect(await pieces(source, new Uint8Array(64))).toEqual(expected(false));
  });
});

describe("a file read into memory that is given", () => {
  it("refuses to read beyond its end, and after an abort", async () => {
    const source = await openFile(path);
    const target = new Uint8Array(8);
    await expect(source.readInto?.(95, target)).rejects.toMatchObject({ code: "SOURCE_TRUNCATED" });
    const signal = AbortSignal.abort();
    await expect(source.readInto?.(0, target, signal)).rejects.toMatchObject({ code: "ABORTED" });
    expect([...target]).toEqual(new Array(8).fill(0));
    await source.close();
  });

  it("refuses a file that has become shorter", async () => {
    const short = join(folder, "short.bin");
    writeFileSync(short, content);
    const source = await openFile(short);
    writeFileSync(short, content.subarray(0, 50));
    await expect(source.readInto?.(45, new Uint8Array(10))).rejects.toMatchObject({
      code: "SOURCE_TRUNCATED",
    });
    await source.close();
  });
});
