import { figuresOf } from "./atlas-figures.ts";
import type { AtlasReport } from "./atlas-report.ts";
import { renderFigure } from "./figures/figure.ts";
import { type Html, markup, trusted } from "./markup.ts";
import { pageScript, pageScriptHash } from "./page/script.ts";
import { pageStyle } from "./page/style.ts";
import { headerSection } from "./sections/header.ts";
import { latentsSection } from "./sections/latents.ts";
import { provenanceSection } from "./sections/provenance.ts";
import { summarySection } from "./sections/summary.ts";
import { classesSection, metricsSection } from "./sections/tables.ts";

/**
 * Nothing may be fetched, and one script may run: the one whose hash this is. Figures carry inline styles, hence `unsafe-inline`
 * for styles; with nothing to fetch, a style can do no harm that text could not.
 */
const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${pageScriptHash}'; img-src data:; base-uri 'none'; form-action 'none'`;

/**
 * One self-contained HTML file: no network requests, readable without JavaScript, in light, dark and print.
 *
 * Text of models and corpora is escaped wherever it stands, and invisible characters in it are shown.
 */
export function renderAtlas(report: AtlasReport): string {
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="generator" content="Latentkit" />
        <title>Atlas of ${report.model.name} at ${report.site.name}</title>
        <link rel="icon" href="data:," />
        <style>${trusted(pageStyle)}</style>
      </head>
      <body>
        ${headerSection(report)}
        <nav class="contents" aria-label="Contents">
          <ul>
            <li><a href="#summary">Findings</a></li>
            <li><a href="#metrics">Metrics</a></li>
            <li><a href="#figures">Figures</a></li>
            <li><a href="#classes">Classes</a></li>
            <li><a href="#latents">Latents</a></li>
            <li><a href="#method">Method</a></li>
          </ul>
        </nav>
        <main class="wrap">
          ${summarySection(report)} ${metricsSection(report)} ${figuresSection(report)}
          ${classesSection(report)} ${latentsSection(report)} ${provenanceSection(report)}
        </main>
        <footer>
          <div class="wrap">
            Made with Latentkit. This file needs no network and holds excerpts of the text that was
            analysed.
          </div>
        </footer>
        <script>${trusted(pageScript)}</script>
      </body>
    </html>`;
  return page.markup;
}

function figuresSection(report: AtlasReport): Html {
  return markup`<section id="figures" aria-labelledby="figures-title">
    <h2 id="figures-title">Figures</h2>
    <div class="figures">
      ${figuresOf(report).map(renderFigure)}
    </div>
  </section>`;
}
