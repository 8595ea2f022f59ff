import { describe, expect, it } from "vitest";
import { prepareOniguruma } from "./oniguruma.ts";

const firstMatch = (pattern: string, text: string): string | undefined =>
  new RegExp(prepareOniguruma(pattern), "u").exec(text)?.[0];

describe("prepareOniguruma", () => {
  it.each([
    ["a+b|c{1,3}", "a+b|c{1,3}"],
    [String.raw`\p{L}++`, String.raw`(?=(?<possessive0>\p{L}+))\k<possessive0>`],
    ["[^a[b]c]?+", "(?=(?<possessive0>[^a[b]c]?))\\k<possessive0>"],
    ["(?>ab|a)c", "(?=(?<possessive0>(?:ab|a)))\\k<possessive0>c"],
    // After an interval a plus is a quantifier of its own: the library makes a group of it.
    ["a{1,3}+b*+", "a{1,3}+(?=(?<possessive0>b*))\\k<possessive0>"],
    [String.raw`\++`, String.raw`\++`],
    [String.raw`[+*]+?\+++`, String.raw`[+*]+?(?=(?<possessive0>\++))\k<possessive0>`],
    ["(?i:'s|[dk]|t)s", "(?i:'[s\u017f]|[dk\u212a]|t)s"],
    ["(?i:\\s[^a-z\\s]|(x[\\p{Ll}]))", "(?i:\\s[^a-z\\s\u017f\u212a]|(x[\\p{Ll}]))"],
    ["(?i)s|a", "(?i:[s\u017f]|a)"],
  ])("%s", (pattern, expected) => expect(prepareOniguruma(pattern)).toBe(expected));

  it.each([
    ["a++ab", "aaab", undefined],
    ["a+ab", "aaab", "aaab"],
    ["(?>a|ab)c", "abc", undefined],
    ["(?:a|ab)c", "abc", "abc"],
    [String.raw`\s++$|\s`, "  x", " "],
    ["(x[yz]*+)++y|x", "xyzxy", "x"],
  ])("%s in %s matches %s", (pattern, text, expected) => {
    expect(firstMatch(pattern, text)).toBe(expected);
  });
});
