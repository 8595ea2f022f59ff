import { mkdtemp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { LatentkitError } from "@latentkit/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TextDocument } from "../document.ts";
import { readDocuments } from "./read-documents.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-documents-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function all(...paths: string[]): Promise<TextDocument[]> {
  const documents: TextDocument[] = [];
  for await (const document of readDocuments(paths)) documents.push(document);
  return documents;
}

async function failure(...paths: string[]): Promise<LatentkitError> {
  const error: unknown = await all(...paths).catch((caught: unknown) => caught);
  if (!LatentkitError.isInstance(error)) expect.unreachable(`no Latentkit error: ${String(error)}`);
  return error;
}

describe("readDocuments", () => {
  it("takes a .txt as one document, without its byte order mark", async () => {
    const path = await file("one.txt", "\ufeffHello\r\nW\u00f6rld \ufeff\u{1f600}\n");
    expect(await all(path)).toEqual([
      { id: "one.txt", text: "Hello\r\nW\u00f6rld \ufeff\u{1f600}\n" },
    ]);
  });

  it("takes each line of a .jsonl, with an id, a number as id or none", async () => {
    const lines = [
      '\ufeff{"id":"a","text":"first","extra":1}',
      "",
      '{"id":7,"text":"second"}\r',
      '{"text":""}',
    ];
    const path = await file("lines.jsonl", lines.join("\n"));
    expect(await all(path)).toEqual([
      { id: "a", text: "first" },
      { id: "7", text: "second" },
      { id: "lines.jsonl:4", text: "" },
    ]);
  });

  it("takes chats", async () => {
    const messages = [
      { role: "user", content: "hi" },
      { role: "assistant", content: "hello" },
    ];
    const path = await file("chat.jsonl", JSON.stringify({ id: "c", messages }));
    expect(await all(path)).toEqual([{ id: "c", text: "hi\nhello", messages }]);
  });

  it("reads packed files as the plain ones, in the order given", async () => {
    const lines = Array.from({ length: 5000 }, (_, index) =>
      JSON.stringify({ id: String(index), text: `t\u00e9xt ${"x".repeat(index % 900)}` }),
    );
    const plain = await file("many.jsonl", `${lines.join("\n")}\n`);
    const packed = await file("many.jsonl.gz", gzipSync(`${lines.join("\n")}\n`));
    const text = await file("text.txt.gz", gzipSync("packed text"));
    const documents = await all(plain);
    expect(documents).toHaveLength(5000);
    expect(documents[4321]).toEqual({ id: "4321", text: `t\u00e9xt ${"x".repeat(4321 % 900)}` });
    expect(await all(text, packed)).toEqual([
      { id: "text.txt.gz", text: "packed text" },
      ...documents,
    ]);
  });

  it("closes the file when the reader stops early", async () => {
    const before = (await readdir("/proc/self/fd").catch(() => [])).length;
    for (let round = 0; round < 20; round++) {
      for await (const document of readDocuments([join(folder, "many.jsonl.gz")])) {
        expect(document.id).toBe("0");
        break;
      }
    }
    expect((await readdir("/proc/self/fd").catch(() => [])).length).toBeLessThanOrEqual(before + 2);
  });

  it("stops on request", async () => {
    const documents = readDocuments([join(folder, "many.jsonl")], { signal: AbortSignal.abort() });
    await expect(documents.next()).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("says where a byte is not UTF-8", async () => {
    const text = await failure(
      await file("latin.txt", Buffer.from("line one\ncaf\xe9 au lait", "latin1")),
    );
    expect(text).toMatchObject({ code: "TEXT_NOT_UTF8", where: join(folder, "latin.txt") });
    expect(text.message).toBe("byte 0xe9 at offset 12 (line 2) is not UTF-8");
    const lines = Buffer.concat([
      Buffer.from('{"text":"fine"}\n{"text":"'),
      Buffer.of(0xff),
      Buffer.from('"}\n'),
    ]);
    expect((await failure(await file("bad.jsonl", lines))).message).toBe(
      "byte 0xff at offset 25 (line 2) is not UTF-8",
    );
    const packed = await failure(await file("bad.jsonl.gz", gzipSync(lines)));
    expect(packed.message).toBe(
      "byte 0xff at offset 25 of the unpacked file (line 2) is not UTF-8",
    );
    const wide = await failure(await file("wide.txt", Buffer.from("\ufeffwide", "utf16le")));
    expect(wide.message).toContain("looks like UTF-16");
    expect(wide.fix).toContain("iconv -f UTF-16");
  });

  it.each(["", "\n\n", "\ufeff", " \r\n\t"])(
    "refuses a file that holds only %j",
    async (content) => {
      for (const name of ["empty.txt", "empty.jsonl"]) {
        expect(await failure(await file(name, content))).toMatchObject({
          code: "TEXT_EMPTY",
          where: join(folder, name),
        });
      }
      expect(await failure(await file("empty.jsonl.gz", gzipSync(content)))).toMatchObject({
        code: "TEXT_EMPTY",
      });
    },
  );

  it("names file and line of bad JSON", async () => {
    const path = await file("broken.jsonl", '{"text":"a"}\n\n{"text": oops}\n');
    expect(await failure(path)).toMatchObject({ code: "JSONL_SYNTAX", where: `${path}:3` });
  });

  it("names the keys that it saw where there is no text", async () => {
    const path = await file("keys.jsonl", '{"text":"a"}\n{"id":"b","body":"c","content":"d"}\n');
    const error = await failure(path);
    expect(error).toMatchObject({ code: "JSONL_FIELDS", where: `${path}:2` });
    expect(error.message).toContain('the keys are "id", "body", "content"');
  });

  it.each([
    ["a number as text", '{"text":3}', '"text"'],
    ["a list", '["text"]', "the line"],
    ["no messages", '{"messages":[]}', '"messages"'],
    ["a message without content", '{"messages":[{"role":"user"}]}', '"messages.0.content"'],
  ])("refuses %s, naming the field", async (_, line, field) => {
    const error = await failure(await file("fields.jsonl", line));
    expect(error.code).toBe("JSONL_FIELDS");
    expect(error.message).toContain(field);
  });

  it("refuses missing files, folders, other formats and no file", async () => {
    expect(await failure(join(folder, "nowhere.txt"))).toMatchObject({
      code: "FILE_MISSING",
      where: join(folder, "nowhere.txt"),
    });
    await mkdir(join(folder, "folder.txt"));
    expect(await failure(join(folder, "folder.txt"))).toMatchObject({ code: "FILE_IS_FOLDER" });
    expect(await failure(await file("sheet.xlsx", "x"))).toMatchObject({ code: "TEXT_FORMAT" });
    expect(await failure()).toMatchObject({ code: "TEXT_NONE" });
  });

  it("refuses gzip that is cut short or no gzip", async () => {
    const whole = gzipSync(JSON.stringify({ text: "a".repeat(1000) }));
    expect(await failure(await file("cut.jsonl.gz", whole.subarray(0, 20)))).toMatchObject({
      code: "TEXT_GZIP",
    });
    expect(await failure(await file("plain.txt.gz", "not packed"))).toMatchObject({
      code: "TEXT_GZIP",
    });
  });
});
