import type { OnProgress } from "@latentkit/core";
import { throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import { specialTokens, type WorldDocument } from "@latentkit/worlds";

/** What was written. */
export interface WorldLines {
  lines: number;
  documents: number;
  /** UTF-16 code units of all documents. */
  characters: number;
}

/** How {@link worldLines} cuts and stops. */
export interface WorldLinesOptions {
  /** The last document is the one with which the texts reach this length. */
  readonly characters: number;
  /** Whether texts are cut at special tokens, into lines without them and without labels. */
  readonly splitSpecial: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

const special = new RegExp(
  specialTokens.map((token) => token.replaceAll("|", "[|]")).join("|"),
  "u",
);

/** Documents as JSON lines, in pieces to be written; counts into `written`. */
export async function* worldLines(
  next: () => WorldDocument,
  { characters, splitSpecial, signal, onProgress }: WorldLinesOptions,
  written: WorldLines,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  while (written.characters < characters) {
    throwIfAborted(signal);
    const document = next();
    const lines = splitSpecial ? piecesOf(document) : [document];
    written.documents += 1;
    written.characters += document.text.length;
    written.lines += lines.length;
    yield encoder.encode(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    if (written.documents % 256 !== 0) continue;
    const done = Math.min(written.characters, characters);
    onProgress({ stage: "write", done, total: characters, unit: "characters" });
    await yieldToEventLoop();
  }
  onProgress({ stage: "write", done: characters, total: characters, unit: "characters" });
}

/** The texts between special tokens, for a tokenizer that is to learn words and not marks. Empty ones are left out. */
function piecesOf({ id, text }: WorldDocument): { readonly id: string; readonly text: string }[] {
  return text
    .split(special)
    .filter((piece) => piece.trim() !== "")
    .map((piece, index) => ({ id: `${id}#${index}`, text: piece }));
}
