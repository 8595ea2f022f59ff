// From the lines of a printed book to chapters of paragraphs.

/** @typedef {{ chapter: number, paragraphs: string[] }} Chapter */

const chapterHeading = /^\s*(?:chapter|volume|book)\s+(?:[ivxlc]+|\d+)\.?\s*$/i;
const lastLine = /^\s*(?:the end|finis)\.?\s*$/i;
/** Where a transcriber's note begins after the last line of a book that has no "THE END". */
const transcriberNote = /^\s*\*?\s*(?:a note on the text|note:)\s*/i;

/**
 * Joins the lines of a book into paragraphs, which empty lines part. Title pages before the first chapter, headings, "THE END" and
 * what follows it are left out; marks of emphasis (`_word_`) lose their underscores; all other words stay as they are.
 *
 * @param {readonly (string | null)[]} lines
 * @returns {Chapter[]}
 */
export function chaptersOf(lines) {
  /** @type {Chapter[]} */
  const chapters = [];
  /** @type {string[]} */
  let open = [];
  const closeParagraph = () => {
    const text = open.join(" ").replaceAll("_", "").replace(/\s+/g, " ").trim();
    open = [];
    if (text !== "") chapters.at(-1)?.paragraphs.push(text);
  };
  for (const line of lines) {
    const text = line ?? "";
    if (chapterHeading.test(text)) {
      closeParagraph();
      if (chapters.at(-1)?.paragraphs.length !== 0)
        chapters.push({ chapter: chapters.length + 1, paragraphs: [] });
    } else if (lastLine.test(text) || transcriberNote.test(text)) {
      break;
    } else if (text.trim() === "") {
      closeParagraph();
    } else {
      open.push(text);
    }
  }
  closeParagraph();
  return chapters.filter(({ paragraphs }) => paragraphs.length > 0);
}

/**
 * Verses (`Ge1:1 In the beginning ...`) to chapters: a verse is a sentence or two, and a paragraph takes verses until it has
 * 400 characters.
 *
 * @param {string} printed one verse a line
 * @returns {{ book: string, chapter: number, paragraphs: string[] }[]}
 */
export function chaptersOfVerses(printed) {
  /** @type {{ book: string, chapter: number, paragraphs: string[] }[]} */
  const chapters = [];
  for (const line of printed.split("\n")) {
    const verse = /^(\d?\s?[A-Za-z]+)(\d+):(\d+)\s+(.+)$/.exec(line.trim());
    if (verse === null) continue;
    const [, book = "", chapterText = "", , text = ""] = verse;
    const chapter = Number(chapterText);
    let last = chapters.at(-1);
    if (last?.book !== book || last.chapter !== chapter) {
      last = { book, chapter, paragraphs: [] };
      chapters.push(last);
    }
    const clean = text.replace(/\s+/g, " ").trim();
    const before = last.paragraphs.at(-1);
    if (before === undefined || before.length >= 400) last.paragraphs.push(clean);
    else last.paragraphs[last.paragraphs.length - 1] = `${before} ${clean}`;
  }
  return chapters;
}
