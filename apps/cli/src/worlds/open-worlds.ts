import { ConfigError } from "@latentkit/core";
import { didYouMean } from "@latentkit/loaders";
import { readText } from "@latentkit/loaders/node";
import { parseProse, personas, tinyMixture, type WorldDocument } from "@latentkit/worlds";

/** Which documents to make. */
export interface WorldsChoice {
  /** A world of the mixture, `personas-redrawn`, or `mixture` for all of it. */
  readonly name: string;
  readonly seed: number;
  readonly stage: "base" | "instruct";
  /** A JSONL file of texts, as `node tools/prose.mjs` writes it. */
  readonly prose?: string | undefined;
}

/**
 * An endless stream of documents. A world alone gives the documents that it gives to the mixture, in the same order.
 *
 * @throws ConfigError `WORLD_UNKNOWN`; what `parseProse` and `tinyMixture` throw
 */
export async function openWorlds(choice: WorldsChoice): Promise<() => WorldDocument> {
  const { name, seed, stage } = choice;
  const prose = choice.prose === undefined ? undefined : parseProse(await readText(choice.prose));
  const mixture = tinyMixture({ seed, stage, prose });
  if (name === "mixture") return () => mixture.next();
  const worlds = new Map(mixture.parts.map(({ world }) => [world.name, world]));
  // The negative control of the personas is no part of any mixture.
  worlds.set("personas-redrawn", personas({ seed, redraw: "turn" }));
  const world = worlds.get(name);
  if (world === undefined) throw unknownWorld(name, [...worlds.keys()], choice);
  let next = 0;
  return () => world.document(next++);
}

function unknownWorld(
  name: string,
  known: readonly string[],
  { stage, prose }: WorldsChoice,
): ConfigError {
  const names = ["mixture", ...known];
  const needsProse = name === "prose" && stage === "base" && prose === undefined;
  const guess = didYouMean(name, names);
  return new ConfigError({
    code: "WORLD_UNKNOWN",
    message: needsProse
      ? "prose needs texts to be cut into documents"
      : `the stage ${stage} has no world "${name}"${guess === null ? "" : `, did you mean "${guess}"?`}`,
    fix: needsProse
      ? "give --prose FILE; node tools/prose.mjs writes .cache/prose.jsonl"
      : `take one of ${names.join(", ")}`,
    where: "NAME",
  });
}
