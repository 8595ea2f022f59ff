import { FormatError } from "@latentkit/core";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { TrainingDocument } from "../documents.ts";

const lineSchema = z.looseObject({
  text: z.string(),
  turns: z.array(z.object({ role: z.string(), content: z.string() })).nullish(),
});

/**
 * Documents of text files: each line of a `.jsonl` file is one (`text`, and `turns` for conversations); of any other file, which is
 * UTF-8 text, each stretch between form feeds or, without any, the whole.
 *
 * @throws FormatError `DOCUMENT_LINE` naming the line; the file system's errors
 */
export async function readDocuments(paths: readonly string[]): Promise<TrainingDocument[]> {
  const documents: TrainingDocument[] = [];
  for (const path of paths) {
    const text = await readFile(path, "utf8");
    if (path.endsWith(".jsonl")) {
      for (const [index, line] of text.split("\n").entries())
        if (line.trim() !== "") documents.push(parseLine(line, index + 1, path));
      continue;
    }
    for (const part of text.split("\f")) if (part.trim() !== "") documents.push({ text: part });
  }
  return documents;
}

function parseLine(line: string, number: number, path: string): TrainingDocument {
  const parsed = lineSchema.safeParse(jsonOf(line));
  if (parsed.success) {
    const { text, turns } = parsed.data;
    return turns === null || turns === undefined ? { text } : { text, turns };
  }
  throw new FormatError({
    code: "DOCUMENT_LINE",
    message: `line ${number} is not a JSON object with a string "text"`,
    fix: 'write each document as one line, for example {"text": "..."}',
    where: path,
  });
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
