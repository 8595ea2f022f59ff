import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readDocuments } from "./read-documents.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-documents-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

it("reads lines, stretches between form feeds, and whole files", async () => {
  const turns = [{ role: "user", content: "hi" }];
  const lines = file(
    "a.jsonl",
    `{"text": "one", "id": 7}\n\n{"text": "two", "turns": null}\n${JSON.stringify({ text: "three", turns })}\n`,
  );
  const parts = file("b.txt", "first\f\n\fsecond");
  const whole = file("c.md", "# whole\n");
  expect(await readDocuments([lines, parts, whole])).toEqual([
    { text: "one" },
    { text: "two" },
    { text: "three", turns },
    { text: "first" },
    { text: "second" },
    { text: "# whole\n" },
  ]);
});

it.each(["not json", '{"text": 5}', '{"text": "a", "turns": [{"role": "user"}]}'])(
  "refuses the line %s by its number",
  async (line) => {
    const path = file("bad.jsonl", `{"text": "fine"}\n${line}\n`);
    await expect(readDocuments([path])).rejects.toMatchObject({
      code: "DOCUMENT_LINE",
      where: path,
      message: expect.stringContaining("line 2"),
    });
  },
);

it("says which file is not there", async () => {
  await expect(readDocuments([join(folder, "none.txt")])).rejects.toThrow(/none\.txt/u);
});
