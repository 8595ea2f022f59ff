import { fc, test } from "@fast-check/vitest";
import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { escapeHtml, markup, trusted, visibleText, visibleToken } from "./markup.ts";

/** Text of every kind: control characters, direction overrides, half surrogates, markup. */
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
  fc
    .array(
      fc.constantFrom(
        "<",
        ">",
        "&",
        '"',
        "'",
        "`",
        "</script>",
        "<!--",
        "]]>",
        "<img src=x onerror=alert(1)>",
        "javascript:",
        "\u202e",
        "\u0000",
        "\ud800",
        "=",
        "/",
        " ",
      ),
    )
    .map((parts) => parts.join("")),
);

describe("escapeHtml", () => {
  test.prop([anyText])(
    "leaves nothing that could open a tag, an entity or end an attribute",
    (text) => {
      expect(escapeHtml(text).replace(/&(?:amp|lt|gt|quot|#39|#96);/g, "")).not.toMatch(/[<>&"'`]/);
    },
  );

  test.prop([anyText])(
    "is read back by a parser as the visible text, in an element and in an attribute",
    (text) => {
      const { document } = parseHTML(
        `<!doctype html><html><body>${markup`<p title="${text}">${text}</p>`.markup}</body></html>`,
      );
      const paragraph = document.querySelector("p");
      expect(document.body.children).toHaveLength(1);
      expect(paragraph?.children).toHaveLength(0);
      expect(paragraph?.textContent).toBe(visibleText(text));
      expect(paragraph?.getAttribute("title")).toBe(visibleText(text));
      expect(paragraph?.attributes).toHaveLength(1);
    },
  );
});

describe("visibleText", () => {
  test.prop([anyText])(
    "leaves no control character, no direction override and no half surrogate",
    (text) => {
      expect(visibleText(text)).not.toMatch(
        /\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/u,
      );
    },
  );

  it.each([
    ["a\nb\r\nc", "a\u21b5b\u21b5c"],
    ["\t", "\u21e5"],
    ["\u0000\u001b", "\u2400\u241b"],
    ["user\u202etxt.exe", "user\u27e8U+202E\u27e9txt.exe"],
    ["\ud83d", "\ufffd"],
    [
      "caf\u00e9 \u6771\u4eac \ud83d\udc69\u200d\ud83d\ude80",
      "caf\u00e9 \u6771\u4eac \ud83d\udc69\u200d\ud83d\ude80",
    ],
  ])("of %j is %j", (text, visible) => {
    expect(visibleText(text)).toBe(visible);
  });
});

describe("visibleToken", () => {
  it("shows the spaces that tell tokens apart", () => {
    const tokens = [" the", "the", "  ", "", "\n", "\u00a0", " \u0301"];
    expect(tokens.map(visibleToken)).toEqual([
      "\u2423the",
      "the",
      "\u2423\u2423",
      "\u2205",
      "\u21b5",
      "\u27e8U+00A0\u27e9",
      "\u2423\u25cc\u0301",
    ]);
  });
});

describe("markup", () => {
  it("keeps markup it was given as markup, in lists too, and drops null", () => {
    const items = ["<a>", 1, null].map((value) => markup`<li>${value}</li>`);
    expect(markup`<ul>${items}${trusted("<hr>")}</ul>`.markup).toBe(
      "<ul><li>&lt;a&gt;</li><li>1</li><li></li><hr></ul>",
    );
  });
});
