/** Markup that is known to be safe. Only {@link markup} and {@link trusted} make it. */
export class Html {
  readonly markup: string;

  constructor(text: string) {
    this.markup = text;
  }
}

/** What may stand in a template: text is escaped, markup and lists of both are not. */
export type HtmlValue = string | number | Html | null | readonly HtmlValue[];

/**
 * Template tag whose interpolated text can never become markup, in elements and in quoted attributes alike.
 *
 * @example
 * markup`<p title="${name}">${text}</p>` // text and name may hold anything
 */
export function markup(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let text = parts[0] ?? "";
  for (const [index, value] of values.entries()) text += markupOf(value) + (parts[index + 1] ?? "");
  return new Html(text);
}

/** Takes markup as it is: for this package's own constants and for figures it drew itself, never for text of others. */
export function trusted(text: string): Html {
  return new Html(text);
}

function markupOf(value: HtmlValue): string {
  if (value === null) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return escapeHtml(value);
  return value.map(markupOf).join("");
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

/** Escapes text for elements and quoted attributes, and makes invisible characters visible: see {@link visibleText}. */
export function escapeHtml(text: string): string {
  return visibleText(text).replace(/[&<>"'`]/g, (character) => entities[character] ?? "");
}

/**
 * Replaces what could hide or reorder text: control characters become their pictures, line ends an arrow, direction overrides and
 * zero-width marks their code, half surrogates U+FFFD.
 */
export function visibleText(text: string): string {
  return text
    .replace(/\p{Surrogate}/gu, "\ufffd")
    .replace(/\r\n|[\n\r\u0085\u2028\u2029]/g, "\u21b5")
    .replace(/\t/g, "\u21e5")
    .replace(/(?=\p{Cc})[^\u007f-\u009f]/gu, (character) =>
      String.fromCodePoint(0x2400 + (character.codePointAt(0) ?? 0)),
    )
    .replace(/\u007f/g, "\u2421")
    .replace(
      /[\u0080-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu,
      codeOf,
    );
}

/**
 * {@link visibleText} with the spaces at both ends shown, since a leading space tells two tokens apart. Other blanks become their
 * code, and a combining mark gets something to stand on.
 */
export function visibleToken(text: string): string {
  if (text === "") return "\u2205";
  return visibleText(text)
    .replace(/(?! )\p{Zs}/gu, codeOf)
    .replace(/^ +| +$/g, (spaces) => "\u2423".repeat(spaces.length))
    .replace(/^(\u2423*)(?=\p{M})/u, "$1\u25cc");
}

function codeOf(character: string): string {
  return `\u27e8U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}
