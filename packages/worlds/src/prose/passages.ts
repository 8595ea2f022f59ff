/** One text with its origin, as `tools/prose.mjs` writes it: paragraphs are parted by an empty line. */
export interface ProseDocument {
  readonly id: string;
  /** Author and title, for example `"Jane Austen, Emma"`. */
  readonly source: string;
  readonly licence: string;
  readonly text: string;
}

/** A stretch of a {@link ProseDocument} that is short enough to be one document of a world. */
export interface Passage {
  /** `DOCUMENT/INDEX`. */
  readonly id: string;
  readonly source: string;
  readonly licence: string;
  /** Whole paragraphs, or sentences of a long one. */
  readonly paragraphs: readonly string[];
}

/** Fewest and most characters of a passage; the last one of a document may be shorter than the least. */
export const passageLength: { readonly least: number; readonly most: number } = {
  least: 300,
  most: 1500,
};

/** A passage that is still too short and a piece of this length fit together, with the empty line between them. */
const pieceLength = passageLength.most - passageLength.least - 2;

/**
 * Cuts texts into passages of 300 to 1,500 characters, in reading order and without losing a word. Passages end where paragraphs
 * end; a paragraph of more than about 1,200 characters is cut between sentences, and a sentence that is longer, between words. Where
 * a document ends on fewer than 300 characters, they join the passage before if they fit in.
 */
export function passagesOf(documents: readonly ProseDocument[]): Passage[] {
  return documents.flatMap((document) =>
    groups(document.text).map((paragraphs, index) => ({
      id: `${document.id}/${index}`,
      source: document.source,
      licence: document.licence,
      paragraphs,
    })),
  );
}

function groups(text: string): string[][] {
  const found: string[][] = [];
  let open: string[] = [];
  for (const piece of text.split(/\n{2,}/).flatMap(pieces)) {
    open.push(piece);
    if (lengthOf(open) >= passageLength.least) {
      found.push(open);
      open = [];
    }
  }
  const last = found.at(-1);
  if (open.length > 0 && last !== undefined && lengthOf([...last, ...open]) <= passageLength.most)
    last.push(...open);
  else if (open.length > 0) found.push(open);
  return found;
}

/** A paragraph, in pieces that a passage can hold. */
function pieces(paragraph: string): string[] {
  const text = paragraph.trim();
  if (text === "") return [];
  if (text.length <= pieceLength) return [text];
  const found: string[] = [];
  let rest = text;
  while (rest.length > pieceLength) {
    const cut = cutBefore(rest, pieceLength);
    found.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut).trimStart();
  }
  if (rest !== "") found.push(rest);
  return found;
}

/** Where the last sentence of the first `most` characters ends; failing that the last word; failing that, `most`. */
function cutBefore(text: string, most: number): number {
  const window = text.slice(0, most + 1);
  let cut = -1;
  // Titles ("Mr. ") end no sentence: what precedes the stop has to have three letters or be a closing mark.
  for (const match of window.matchAll(/(?:[a-z]{3}|[)"'])[.!?]["')]*\s/g))
    cut = match.index + match[0].length;
  if (cut >= passageLength.least) return cut;
  const space = window.lastIndexOf(" ");
  return space > 0 ? space : most;
}

function lengthOf(paragraphs: readonly string[]): number {
  return paragraphs.reduce((sum, { length }) => sum + length, 2 * (paragraphs.length - 1));
}
