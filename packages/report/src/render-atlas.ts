import { figuresOf } from "./atlas-figures.ts";
import type { AtlasReport } from "./atlas-report.ts";
import { renderFigure } from "./figures/figure.ts";
import { type Html, markup } from "./markup.ts";
import { renderPage } from "./page/frame.ts";
import { headerSection } from "./sections/header.ts";
import { latentsSection } from "./sections/latents.ts";
import { provenanceSection } from "./sections/provenance.ts";
import { summarySection } from "./sections/summary.ts";
import { classesSection, metricsSection } from "./sections/tables.ts";

/**
 * One self-contained HTML file: no network requests, readable without JavaScript, in light, dark and print.
 *
 * Text of models and corpora is escaped wherever it stands, and invisible characters in it are shown.
 */
export function renderAtlas(report: AtlasReport): string {
  return renderPage({
    title: `Atlas of ${report.model.name} at ${report.site.name}`,
    header: headerSection(report),
    contents: [
      ["summary", "Findings"],
      ["metrics", "Metrics"],
      ["figures", "Figures"],
      ["classes", "Classes"],
      ["latents", "Latents"],
      ["method", "Method"],
    ],
    main: [
      summarySection(report),
      metricsSection(report),
      figuresSection(report),
      classesSection(report),
      latentsSection(report),
      provenanceSection(report),
    ],
    footer: " and holds excerpts of the text that was analysed.",
    scripted: true,
  });
}

function figuresSection(report: AtlasReport): Html {
  return markup`<section id="figures" aria-labelledby="figures-title">
    <h2 id="figures-title">Figures</h2>
    <div class="figures">
      ${figuresOf(report).map(renderFigure)}
    </div>
  </section>`;
}
