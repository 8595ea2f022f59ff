import type { AtlasReport } from "../atlas-report.ts";
import { type Html, markup } from "../markup.ts";

/** How to read the page, and everything needed to make it again. */
export function provenanceSection(report: AtlasReport): Html {
  const facts: (readonly [string, string])[] = [
    ["model weights", report.model.weightsHash],
    ["SAE identity", report.sae.identity],
    ["activations", report.corpus.hash],
    ["context size", String(report.corpus.contextSize)],
    ["beginning-of-text token prepended", report.corpus.prependBos ? "yes" : "no"],
    ...Object.entries(report.config).map(([name, value]) => [name, String(value)] as const),
    ...Object.entries(report.versions).map(([name, version]) => [name, version] as const),
  ];
  return markup`<section id="method" aria-labelledby="method-title">
    <h2 id="method-title">How to read this, and how it was made</h2>
    <p>
      <b>Density</b> is the share of unmasked tokens on which a latent fires. The first position of
      each context, padding and tokens of outsized norm are masked everywhere: they are attention
      sinks and would swamp every statistic.
    </p>
    <p>
      <b>Antipodality</b> of a latent is the largest product of encoder cosine and decoder cosine
      with any other latent. Near 1, the two split one signed coordinate between them, and they
      should never fire together.
    </p>
    <p>
      <b>Class tests</b> look at directions, not at causes: passing one says what a latent's decoder
      row resembles. The definitions follow “Dense SAE Latents Are Features, Not Bugs” (arXiv
      2506.15679); cut-offs that the paper leaves open are listed below.
    </p>
    <p>
      <b>Promoted and suppressed tokens</b> come from the decoder row through the final norm's gain
      and the unembedding, skipping the layers in between. At early sites that says little.
    </p>
    <details>
      <summary>Settings, hashes and versions</summary>
      <ul class="config">
        ${facts.map(([name, value]) => markup`<li><span class="soft">${name}</span><span class="mono">${value}</span></li>`)}
      </ul>
    </details>
  </section>`;
}
