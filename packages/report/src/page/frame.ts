import { type Html, type HtmlValue, markup, trusted } from "../markup.ts";
import { pageScript, pageScriptHash } from "./script.ts";
import { pageStyle } from "./style.ts";

/** What a page of this package has between its first and its last line. */
export interface Page {
  /** Of the window; plain text. */
  readonly title: string;
  readonly header: Html;
  /** Sections, each as its id and what the contents call it. */
  readonly contents: readonly (readonly [id: string, label: string])[];
  readonly main: HtmlValue;
  /** A sentence about what the file holds. */
  readonly footer: string;
  /** Whether the page has the latents that its one script filters and sorts. */
  readonly scripted?: boolean | undefined;
}

/**
 * Nothing may be fetched, and at most one script may run: the one whose hash this is. Figures carry inline styles, hence
 * `unsafe-inline` for styles; with nothing to fetch, a style can do no harm that text could not.
 */
function policyOf(scripted: boolean): string {
  const script = scripted ? ` script-src 'sha256-${pageScriptHash}';` : "";
  return `default-src 'none'; style-src 'unsafe-inline';${script} img-src data:; base-uri 'none'; form-action 'none'`;
}

/** One self-contained HTML file: no network requests, readable without JavaScript, in light, dark and print. */
export function renderPage({
  title,
  header,
  contents,
  main,
  footer,
  scripted = false,
}: Page): string {
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policyOf(scripted)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="generator" content="Latentkit" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <style>${trusted(pageStyle)}</style>
      </head>
      <body>
        ${header}
        <nav class="contents" aria-label="Contents">
          <ul>
            ${contents.map(([id, label]) => markup`<li><a href="#${id}">${label}</a></li>`)}
          </ul>
        </nav>
        <main class="wrap">${main}</main>
        <footer>
          <div class="wrap">Made with Latentkit. This file needs no network${footer}</div>
        </footer>
        ${scripted ? markup`<script>${trusted(pageScript)}</script>` : null}
      </body>
    </html>`;
  return page.markup;
}

/** A term of {@link renderFacts}, its value, and a note in small type; empty for none. */
export type Fact = readonly [term: string, value: Html | string, note: string];

/** The list of facts below a page's title. */
export function renderFacts(facts: readonly Fact[]): Html {
  return markup`<dl class="facts">
    ${facts.map(
      ([term, value, note]) =>
        markup`<div>
          <dt>${term}</dt>
          <dd>${value}${note === "" ? null : markup`<br /><small>${note}</small>`}</dd>
        </div>`,
    )}
  </dl>`;
}

/** A column of {@link renderGrid}. */
export interface GridColumn {
  readonly name: string;
  /** Set flush right, with figures of one width. */
  readonly number?: boolean;
}

/** A table whose first column names its rows. */
export function renderGrid(
  columns: readonly GridColumn[],
  rows: readonly (readonly HtmlValue[])[],
): Html {
  const kind = (place: number): string => (columns[place]?.number === true ? "number" : "");
  return markup`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${columns.map(({ name }, place) => markup`<th scope="col" class="${kind(place)}">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            markup`<tr>
              ${row.map((cell, place) =>
                place === 0
                  ? markup`<th scope="row">${cell}</th>`
                  : markup`<td class="${kind(place)}">${cell}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
