import { describe, expect, it } from "vitest";
import { errorOf } from "../__fixtures__/load.ts";
import { strftime } from "./strftime.ts";
import { parseTemplate } from "./template.ts";

const now = new Date(2024, 11, 31, 0, 5, 9);
const run = (source: string, variables: Readonly<Record<string, unknown>> = {}): string =>
  parseTemplate(source)(variables, now);

describe("parseTemplate", () => {
  it.each([
    ["'' == false", "False"],
    ["0 == false and 1 == true and 1 == 1.0", "True"],
    ["'1' == 1", "False"],
    ["'a' != 'b'", "True"],
    ["none == none and not (none == missing) and missing == missing", "True"],
    ["none != false", "True"],
    ["[1, ['a']] == [1, ['a']] and [1] != [2] and [1] != [1, 1]", "True"],
    ["{'a': 1} == {'a': 1} and {'a': 1} != {'a': 2} and {'a': 1} != {'b': 1}", "True"],
    ["list == [1, none] and words == 'w'", "True"],
    ["('a' == 'a') == (2 == 2)", "True"],
  ])("compares %s as Python does", (expression, expected) => {
    const source = `{{ 'True' if (${expression}) else 'False' }}`;
    expect(run(source, { list: [1, null], words: "w" })).toBe(expected);
  });

  it("compares inside of loops, filters, macros and conditions", () => {
    expect(
      run(
        "{% macro m(x) %}{{ 'e' if x == '' else 'n' }}{% endmacro %}{% for x in ['', false] if x == false %}{{ m(x) }}{% endfor %}",
      ),
    ).toBe("n");
  });

  it.each([
    ["' \\n x\\n '.strip('\\n ')", "x"],
    ["'\\n  x '.lstrip('\\n')", "  x "],
    ["'\\n  x \\n'.rstrip('\\n')", "\n  x "],
    ["(space + 'x' + space) | trim", "x"],
    ["'  x ' | trim + '!'", "x!"],
    ["mark.strip() + mark", "\ufeff\ufeff"],
    ["'abcxcba'.strip('ab').strip('c')", "x"],
    ["missing | trim", ""],
  ])("strips %s as Python does", (expression, expected) => {
    const source = `{{ ${expression} }}`;
    expect(run(source, { space: "\u0085\u001c\u3000", mark: "\ufeff" })).toBe(expected);
  });

  it("has a clock that can be set, and says so", () => {
    expect(run("{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}")).toBe(
      "31 Dec 2024",
    );
  });

  it.each([
    ["{% for %}", "cannot be parsed"],
    ["{{ raise_exception('only robots') }}", "only robots"],
    ["{{ 1 + [] }}", "refused"],
    ["{{ missing.strip() }}", "strip"],
  ])("explains %s", async (source, words) => {
    const error = await errorOf(() => run(source));
    expect(error).toMatchObject({ code: "CHAT_TEMPLATE", name: "ConfigError" });
    expect(error.message).toContain(words);
  });
});

describe("strftime", () => {
  it("speaks English, pads, and leaves what it does not know", () => {
    expect(strftime(now, "%a %A %b %B %d %H %I %j %m %M %p %S %y %Y %% %Q %")).toBe(
      "Tue Tuesday Dec December 31 00 12 366 12 05 AM 09 24 2024 % %Q %",
    );
    expect(strftime(new Date(2023, 0, 1, 12), "%j %I %p")).toBe("001 12 PM");
  });
});
