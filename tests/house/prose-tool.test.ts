// The tool that gets public-domain prose out of Debian packages: its reader of R's data files and its joiner of lines.
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chaptersOf, chaptersOfVerses } from "../../tools/prose/paragraphs.mjs";
import { RDataError, readLazyLoad, readSerialized } from "../../tools/prose/r-data.mjs";

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

// What R 4.2 writes for c("It", NA, "\u00e9"), byte by byte from the format's description.
const header = "580a 00000003 00040201 00030500 00000005 5554462d38";
const strings = `${header}
  00000010 00000003
  00040009 00000002 4974
  00000009 ffffffff
  00008009 00000002 c3a9`;

// Builders of the same format, for values of any size.
const integer = (value: number): Uint8Array => {
  const out = Buffer.alloc(4);
  out.writeInt32BE(value);
  return out;
};
const charsxp = (text: string | null): Uint8Array => {
  if (text === null) return join(integer(0x09), integer(-1));
  const content = Buffer.from(text, "utf8");
  return join(integer(0x8009), integer(content.length), content);
};
const strsxp = (texts: readonly (string | null)[], flags = 0x10): Uint8Array =>
  join(integer(flags), integer(texts.length), ...texts.map(charsxp));
const symbol = (name: string): Uint8Array => join(integer(1), charsxp(name));
const nil = integer(0xfe);
const names = (first: Uint8Array, texts: readonly string[]): Uint8Array =>
  join(integer(0x402), first, strsxp(texts), nil);
const list = (
  entries: readonly (readonly [string, Uint8Array])[],
  namesSymbol: Uint8Array,
): Uint8Array =>
  join(
    integer(0x213),
    integer(entries.length),
    ...entries.map(([, value]) => value),
    names(
      namesSymbol,
      entries.map(([name]) => name),
    ),
  );
const ints = (...values: readonly number[]): Uint8Array =>
  join(integer(0x0d), integer(values.length), ...values.map(integer));
const file = (value: Uint8Array): Uint8Array => join(bytes(header), value);

describe("R's serialisation", () => {
  test("a character vector, byte by byte", () => {
    expect(readSerialized(bytes(strings))).toEqual(["It", null, "é"]);
    // Version 2 has no encoding.
    expect(
      readSerialized(
        bytes(`580a 00000002 00040201 00020300 00000010 00000001 00040009 00000001 61`),
      ),
    ).toEqual(["a"]);
  });

  test("numbers, lists with names, attributes of vectors, references to symbols", () => {
    expect(readSerialized(file(ints(1, -(2 ** 31), 3)))).toEqual([1, null, 3]);
    expect(readSerialized(bytes(`${header} 0000000e 00000001 3ff8000000000000`))).toEqual([1.5]);
    // The inner list comes first in the file: its symbol is the one that the outer list refers to.
    const first = list([["b", ints(2)]], symbol("names"));
    const outer = join(
      integer(0x213),
      integer(2),
      first,
      strsxp(["x"], 0x210),
      names(integer((1 << 8) | 0xff), ["dim"]),
      names(integer((1 << 8) | 0xff), ["a", "c"]),
    );
    expect(readSerialized(file(outer))).toEqual({
      names: ["a", "c"],
      values: [{ names: ["b"], values: [[2]] }, ["x"]],
    });
  });

  test("any character vector comes back", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.string({ unit: "grapheme" }))), (texts) => {
        expect(readSerialized(file(strsxp(texts)))).toEqual(texts);
      }),
    );
  });

  test("every truncation is an error of the format", () => {
    const whole = bytes(strings);
    for (let size = 0; size < whole.length; size++)
      expect(() => readSerialized(whole.subarray(0, size))).toThrow(RDataError);
  });

  test.each([
    ["another mark", "410a 00000003", /mark X/],
    ["an unknown version", "580a 00000009", /version 9/],
    ["bytes that follow", `${strings} 00`, /1 bytes follow/],
    ["a type that is not read", `${header} 00000003`, /R type 3/],
    ["a count beyond the end", `${header} 00000010 7fffffff`, /passes the end/],
    ["a negative count", `${header} 0000000d ffffffff`, /passes the end/],
    ["a number among strings", `${header} 00000010 00000001 0000000d 00000000`, /something else/],
  ])("%s is an error", (_, hex, message) => {
    expect(() => readSerialized(bytes(hex))).toThrow(message);
  });
});

describe("a lazy-load database", () => {
  const block = (value: Uint8Array): Uint8Array => {
    const content = file(value);
    return join(integer(content.length), deflateSync(content));
  };
  const one = block(strsxp(["It was a dark night."]));
  const two = block(strsxp(["Nobody came.", ""]));
  const index = (
    ranges: readonly (readonly [string, number, number])[],
    compressed = 1,
  ): Uint8Array =>
    gzipSync(
      file(
        list(
          [
            [
              "variables",
              list(
                ranges.map(([name, at, size]) => [name, ints(at, size)]),
                symbol("names"),
              ),
            ],
            ["compressed", ints(compressed)],
          ],
          integer((1 << 8) | 0xff),
        ),
      ),
    );

  test("its variables are read by their places", () => {
    const places = index([
      ["one", 0, one.length],
      ["two", one.length, two.length],
    ]);
    expect(readLazyLoad(places, join(one, two))).toEqual(
      new Map([
        ["one", ["It was a dark night."]],
        ["two", ["Nobody came.", ""]],
      ]),
    );
  });

  test("broken files are errors that name the variable", () => {
    expect(() => readLazyLoad(bytes("00"), one)).toThrow(/the index does not unpack/);
    expect(() => readLazyLoad(gzipSync(file(ints(1))), one)).toThrow(/no list of variables/);
    expect(() => readLazyLoad(index([["one", 4, one.length]]), one)).toThrow(/one is at bytes/);
    const broken = Uint8Array.from(one);
    broken[6] = (broken[6] ?? 0) ^ 0xff;
    expect(() => readLazyLoad(index([["one", 0, one.length]]), broken)).toThrow(
      /one does not unpack/,
    );
    const short = Uint8Array.from(one);
    short[3] = (short[3] ?? 0) + 1;
    expect(() => readLazyLoad(index([["one", 0, one.length]]), short)).toThrow(/were promised/);
    const xz = join(integer(3), Buffer.from("Zabc"));
    expect(() => readLazyLoad(index([["one", 0, xz.length]], 3), xz)).toThrow(/method "Z"/);
  });
});

describe("lines to chapters", () => {
  test("paragraphs are joined, headings and the frame of the book are left out", () => {
    const book = [
      "A TITLE",
      "",
      "by Somebody",
      "",
      "VOLUME I",
      "",
      "CHAPTER I",
      "",
      "It _was_",
      "a dark  night.",
    ];
    const rest = [
      "",
      "",
      "Nobody came.",
      "",
      "Chapter 2.",
      "The end of",
      "it all.",
      "",
      "FINIS",
      "",
      "A note.",
    ];
    expect(chaptersOf([...book, ...rest])).toEqual([
      { chapter: 1, paragraphs: ["It was a dark night.", "Nobody came."] },
      { chapter: 2, paragraphs: ["The end of it all."] },
    ]);
    expect(chaptersOf([])).toEqual([]);
  });

  test("verses become chapters of paragraphs", () => {
    const long = "x".repeat(400);
    expect(
      chaptersOfVerses(
        `A title\nGe1:1 One.\nGe1:2 ${long}\nGe1:3 Three.\nGe2:1 Four.\n1Sa2:10 Five.\n`,
      ),
    ).toEqual([
      { book: "Ge", chapter: 1, paragraphs: [`One. ${long}`, "Three."] },
      { book: "Ge", chapter: 2, paragraphs: ["Four."] },
      { book: "1Sa", chapter: 2, paragraphs: ["Five."] },
    ]);
  });
});
