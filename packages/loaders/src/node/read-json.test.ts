import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { errorOf } from "../__fixtures__/load.ts";
import { readJson } from "./read-json.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-json-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const schema = z.object({ layers: z.int().positive() });

it("reads what fits the schema", async () => {
  const path = join(folder, "good.json");
  await writeFile(path, '{"layers": 3, "more": 1}');
  expect(await readJson(path, schema)).toEqual({ layers: 3 });
});

it.each<readonly [string, string | Uint8Array, string]>([
  ["an empty file", "", "JSON_SYNTAX"],
  ["half a file", '{"layers": ', "JSON_SYNTAX"],
  ["Python", "{'layers': 3}", "JSON_SYNTAX"],
  ["bytes that are no UTF-8", Uint8Array.of(0x22, 0xff, 0x22), "JSON_SYNTAX"],
  ["another type", '{"layers": "3"}', "JSON_SCHEMA"],
  ["a missing field", "{}", "JSON_SCHEMA"],
])("refuses %s", async (name, content, code) => {
  const path = join(folder, `${name}.json`);
  await writeFile(path, content);
  const error = await errorOf(() => readJson(path, schema));
  expect(error).toMatchObject({ code, where: path, name: "FormatError" });
  if (code === "JSON_SCHEMA") expect(error.message).toContain("layers");
  expect(error.message).not.toContain("\n");
});

it("says that a file is missing", async () => {
  expect(await errorOf(() => readJson(join(folder, "none.json"), schema))).toMatchObject({
    code: "FILE_MISSING",
    name: "IoError",
  });
});
