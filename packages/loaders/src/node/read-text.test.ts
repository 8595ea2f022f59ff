import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { errorOf } from "../__fixtures__/load.ts";
import { readText } from "./read-text.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-text-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("reads UTF-8 without its byte order mark, and nothing else", async () => {
  const path = join(folder, "text");
  await writeFile(path, "\ufeffcaf\u00e9 \ufeff\u{1f600}\r\n");
  expect(await readText(path)).toBe("caf\u00e9 \ufeff\u{1f600}\r\n");
  await writeFile(path, Buffer.from("caf\xe9", "latin1"));
  expect(await errorOf(() => readText(path))).toMatchObject({ code: "TEXT_ENCODING", where: path });
});

it("says what is the matter with the path", async () => {
  expect(await errorOf(() => readText(join(folder, "none")))).toMatchObject({
    code: "FILE_MISSING",
  });
  expect(await errorOf(() => readText(folder))).toMatchObject({ code: "FILE_IS_FOLDER" });
});
