/** Every error code of the sources has its section under docs/errors, and no section outlives its code. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { codesOf, publishedSources, sectionsOf } from "../../tools/error-codes.mjs";
import { repository } from "../support/packages.ts";

describe("codesOf", () => {
  it("finds codes in objects, and in the tables and helpers that name them", () => {
    const text =
      'throw new FormatError({ code: "FORMAT_A", message });\nconst x = { code: bad ? "FORMAT_B" : "FORMAT_C" };';
    expect(codesOf(text)).toEqual(["FORMAT_A", "FORMAT_B", "FORMAT_C"]);
    expect(codesOf('throw tableError(\n  "FORMAT_D", `${name} lies`, where);')).toEqual([
      "FORMAT_D",
    ]);
    expect(codesOf('const type = "Q4_0"; process.env["SOME_VARIABLE"]; read("Q8_0")')).toEqual([]);
  });
});

describe("docs/errors", () => {
  const codes = new Set(publishedSources(repository).flatMap(({ text }) => codesOf(text)));
  const pages = readdirSync(join(repository, "docs/errors")).filter((name) => name.endsWith(".md"));
  const sections = pages.flatMap((page) =>
    sectionsOf(readFileSync(join(repository, "docs/errors", page), "utf8")).map((section) => ({
      page,
      ...section,
    })),
  );

  it("explains every code that the sources throw", () => {
    const explained = new Set(sections.map(({ code }) => code));
    expect([...codes].filter((code) => !explained.has(code)).toSorted()).toEqual([]);
  });

  it("explains no code twice, and none that is gone", () => {
    const names = sections.map(({ code }) => code);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    expect(names.filter((name) => !codes.has(name))).toEqual([]);
  });

  it("says of each what to do", () => {
    const poor = sections.filter(
      ({ text }) => text.length < 40 || !/\*\*Fix\.\*\* \S{2}/.test(text),
    );
    expect(poor.map(({ page, code }) => `${page}: ${code}`)).toEqual([]);
  });
});
