import { basename, join } from "node:path";
import type { TextDocument } from "@latentkit/activations";
import { readDocuments } from "@latentkit/activations/node";
import { ConfigError, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import { tinyLayers } from "@latentkit/tiny";
import { tinyFolder } from "@latentkit/tiny/node";
import type { AtlasOptions } from "../commands/atlas.ts";
import { tinyData } from "../open-model.ts";
import type { Terminal } from "../terminal.ts";

/** Seed of the text that the atlas of the embedded model is made on: neither its training's nor its validation's. */
const worldsSeed = 77;

/** Tokens of that text, about. */
const worldsTokens = 150_000;

/** A packaged SAE needs no training documents, so nearly all are for the atlas; a split cannot hold out every one. */
const allButFew = 0.99;

/** What an atlas is made of, once defaults are filled in. */
export interface AtlasInputs {
  /** A folder, or `"train"`. */
  readonly sae: string;
  /** What the report calls the text. */
  readonly corpusName: string;
  readonly heldOut: number;
  documents(tokenizer: Tokenizer | null, signal: AbortSignal): AsyncIterable<TextDocument>;
}

/**
 * Fills in what the embedded model brings with it: an SAE for each layer and text of its worlds. Other models need both flags.
 *
 * @throws ConfigError `USAGE_ATLAS`
 */
export function resolveInputs(
  argument: string,
  options: AtlasOptions,
  terminal: Terminal,
): AtlasInputs {
  const { text } = options;
  const embedded = argument === "tiny" || argument === "tiny-instruct";
  const sae = options.sae ?? (argument === "tiny" ? "packaged" : undefined);
  if (sae === undefined) throw missing("--sae", "give --sae train, or --sae DIR");
  if (sae === "packaged" && argument !== "tiny") {
    throw new ConfigError({
      code: "USAGE_ATLAS",
      message: `the packaged SAEs are of the model \`tiny\`, not of ${argument}`,
      fix: "give --sae train, or --sae DIR with an SAE of this model",
      where: "--sae",
    });
  }
  if (text === undefined && !embedded) throw missing("--text", "give --text FILES");
  const packaged = sae === "packaged";
  const tokens = options.maxTokens ?? worldsTokens;
  return {
    sae: packaged ? packagedSae(options.site, terminal) : sae,
    heldOut: options.heldOut ?? (packaged ? allButFew : 0.1),
    ...(text === undefined
      ? {
          corpusName: `worlds (mixture of the base, seed ${worldsSeed})`,
          documents: (tokenizer, signal) => worldDocuments(tokenizer, tokens, signal),
        }
      : {
          corpusName: text.map((path) => basename(path)).join(", "),
          documents: (_tokenizer, signal) => readDocuments(text, { signal }),
        }),
  };
}

/** The packaged SAE of a site, or the one in the middle. */
function packagedSae(site: string | undefined, terminal: Terminal): string {
  const layer = site === undefined ? String(tinyLayers / 2) : layerOf(site);
  return join(tinyData(terminal) ?? tinyFolder(), "sae", `layer_${layer}`);
}

function layerOf(site: string): string {
  const layer = /^blocks\.(\d+)\.hook_resid_post$/u.exec(site)?.[1];
  if (layer !== undefined && Number(layer) < tinyLayers) return layer;
  throw new ConfigError({
    code: "USAGE_ATLAS",
    message: `there is no packaged SAE at ${site}`,
    fix: `give a site from blocks.0.hook_resid_post to blocks.${tinyLayers - 1}.hook_resid_post, or --sae train`,
    where: "--site",
  });
}

/** Generated documents, the last of which is the one that reaches the number of tokens. */
async function* worldDocuments(
  tokenizer: Tokenizer | null,
  tokens: number,
  signal: AbortSignal,
): AsyncGenerator<TextDocument> {
  // Only here: the generators' word lists need not be loaded for text of one's own.
  const { tinyMixture } = await import("@latentkit/worlds");
  const mixture = tinyMixture({ seed: worldsSeed, stage: "base" });
  for (let made = 0; made < tokens;) {
    throwIfAborted(signal);
    const { id, text } = mixture.next();
    made += tokenizer?.encode(text).ids.length ?? text.length;
    yield { id, text };
    await yieldToEventLoop();
  }
}

function missing(flag: string, fix: string): ConfigError {
  return new ConfigError({
    code: "USAGE_ATLAS",
    message: `${flag} is needed: only the embedded model, \`tiny\`, brings SAEs and text with it`,
    fix,
    where: flag,
  });
}
