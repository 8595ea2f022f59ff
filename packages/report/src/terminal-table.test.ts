import { fc, test } from "@fast-check/vitest";
import { ShapeError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { displayWidth, renderTable } from "./terminal-table.ts";

describe("renderTable", () => {
  it("aligns numbers right and text left", () => {
    const table = renderTable(
      [{ name: "latent" }, { name: "label" }, { name: "score" }],
      [
        [12, "PCA", 0.97],
        [4096, null, 0.1],
        [7, "null space", null],
      ],
    );
    expect(table.split("\n")).toEqual([
      "latent  label       score",
      "\u2500\u2500\u2500\u2500\u2500\u2500  \u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500  \u2500\u2500\u2500\u2500\u2500",
      "    12  PCA          0.97",
      "  4096  \u2013             0.1",
      "     7  null space      \u2013",
    ]);
  });

  test.prop([
    fc.array(
      fc.string({
        unit: fc.oneof(
          fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }),
          fc.constantFrom("\u6771", "e\u0301", "\ud83d\ude80", "\n", "\u202e"),
        ),
      }),
      { maxLength: 6 },
    ),
  ])("starts every column at the same display width", (cells) => {
    const [, rule = "", ...lines] = renderTable(
      [{ name: "a", maximumWidth: 9 }, { name: "b" }],
      cells.map((cell) => [cell, "END"]),
    ).split("\n");
    expect(lines).toHaveLength(cells.length);
    const start = rule.indexOf("  ") + 2;
    for (const line of lines)
      expect(displayWidth(line.slice(0, line.lastIndexOf("END")))).toBe(start);
  });

  it("shortens cells and shows control characters instead of obeying them", () => {
    expect(
      renderTable([{ name: "text", maximumWidth: 6 }], [["abcdefghij"], ["\u001b[31m"]])
        .split("\n")
        .slice(2),
    ).toEqual(["abcde\u2026", "\u241b[31m"]);
  });

  it("refuses ragged rows", () => {
    expect(() => renderTable([{ name: "a" }], [[1, 2]])).toThrow(ShapeError);
    expect(renderTable([{ name: "a" }], [])).toBe("a\n\u2500");
  });
});

describe("displayWidth", () => {
  it.each([
    ["abc", 3],
    ["\u6771\u4eac", 4],
    ["e\u0301", 1],
    ["\ud83d\ude80", 2],
    ["\ud83d\udc69\u200d\ud83d\ude80", 2],
    ["\ud55c", 2],
    ["\uff21", 2],
    ["", 0],
    ["\u21b5\u2423", 2],
    ["\ud83c\uddeb\ud83c\uddf7", 2],
  ])("of %j is %i", (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });
});
