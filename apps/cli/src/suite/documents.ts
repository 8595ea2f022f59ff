import type { TextDocument } from "@latentkit/activations";
import { readDocuments } from "@latentkit/activations/node";
import { IoError } from "@latentkit/core";
import type { Suite, SuiteDocuments } from "@latentkit/suite";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";

/** Documents of a world's stream that stand for the generator in its identity. */
const sampled = 64;

/**
 * Opens a suite's text, with paths from `folder`, where the suite's file lies.
 *
 * @throws IoError `TEXT_UNREADABLE`
 */
export async function openSuiteDocuments(
  { text }: Pick<Suite, "text">,
  folder: string,
  signal: AbortSignal,
): Promise<SuiteDocuments> {
  if ("worlds" in text) return openWorlds(text.worlds, folder);
  const paths = text.files.map((path) => resolve(folder, path));
  const files: { name: string; sha256: string }[] = [];
  for (const path of paths) files.push({ name: basename(path), sha256: await hashFile(path) });
  return { identity: { files }, open: () => readDocuments(paths, { signal }) };
}

async function openWorlds(
  {
    seed,
    stage,
    prose,
  }: {
    readonly seed: number;
    readonly stage: "base" | "instruct";
    readonly prose?: string | undefined;
  },
  folder: string,
): Promise<SuiteDocuments> {
  // Only here: the generators' word lists need not be loaded for text of one's own.
  const { parseProse, tinyMixture } = await import("@latentkit/worlds");
  const path = prose === undefined ? null : resolve(folder, prose);
  const bytes =
    path === null
      ? null
      : await readFile(path).catch((error: unknown) => {
          throw unreadable(path, error);
        });
  const texts = bytes === null ? {} : { prose: parseProse(bytes.toString("utf8")) };
  function* open(): Generator<TextDocument, void, undefined> {
    const stream = tinyMixture({ seed, stage, ...texts });
    while (true) {
      // Dialogues are rendered in the text already, as the model was trained on them.
      const { id, text } = stream.next();
      yield { id, text };
    }
  }
  const sample = createHash("sha256");
  let count = 0;
  for (const { id, text } of open()) {
    sample.update(JSON.stringify([id, text]));
    if (++count === sampled) break;
  }
  return {
    identity: {
      worlds: { seed, stage, start: sample.digest("hex") },
      prose: bytes === null ? null : createHash("sha256").update(bytes).digest("hex"),
    },
    open,
  };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    // Streams without an encoding give buffers, which their types do not say.
    for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  } catch (error) {
    throw unreadable(path, error);
  }
  return hash.digest("hex");
}

function unreadable(path: string, cause: unknown): IoError {
  return new IoError({
    code: "TEXT_UNREADABLE",
    message: `the suite's text cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    fix: "correct the path in the suite's file (paths are from where that lies), or make the file; node tools/prose.mjs writes .cache/prose.jsonl",
    where: path,
    cause,
  });
}
