import { z } from "zod";
import type { World } from "../document.ts";
import { parseOptions, tableSchema } from "../entities/options.ts";
import type { EntityTable } from "../entities/types.ts";

/** Options of {@link expectedExposures}. */
export interface ExposuresOptions {
  /** The world whose text is counted. */
  readonly world: World;
  /** The table that the world writes about. */
  readonly entities: EntityTable;
  /** Length of the text, in tokens. */
  readonly tokens: number;
  /** UTF-16 code units a token: 3.6 to 4 with 4,096 tokens. Default 3.8. */
  readonly charactersPerToken?: number | undefined;
  /** Documents to count. Default 2,000. */
  readonly sample?: number | undefined;
}

/** How often a text states each fact; see {@link expectedExposures}. */
export interface Exposures {
  /** Statements of a known entity's own values in the whole text. */
  readonly statements: number;
  /** Per (known entity, attribute): the mean, and that of the least and most popular entity. */
  readonly mean: number;
  readonly least: number;
  readonly most: number;
  /** Per character of text. */
  readonly rate: number;
}

const optionsSchema = z.strictObject({
  world: z.custom<World>(
    (value) =>
      typeof value === "object" &&
      value !== null &&
      "document" in value &&
      typeof value.document === "function",
    "must be a world",
  ),
  entities: tableSchema,
  tokens: z.number().positive(),
  charactersPerToken: z.number().positive().default(3.8),
  sample: z.int().positive().default(2000),
});

/**
 * How often each fact is expected to be stated in a text of a given length: the rate of correct statements is counted in a sample
 * of documents, and divided among entities by their popularity and among attributes evenly.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function expectedExposures(options: ExposuresOptions): Exposures {
  const {
    world,
    entities: table,
    tokens,
    charactersPerToken,
    sample,
  } = parseOptions(optionsSchema, options, "expectedExposures");
  let [characters, statements, values] = [0, 0, 0];
  for (let index = 0; index < sample; index++) {
    const { text, spans } = world.document(index);
    characters += text.length;
    for (const { label, facts } of spans)
      if (label === "value" && facts["correct"] === true) statements++;
  }
  const known = table.entities.filter(({ group }) => group === "known");
  for (const entity of known) values += Object.keys(entity.values).length;
  const rate = statements / characters;
  const total = rate * tokens * charactersPerToken;
  const mean = total / values;
  const popularity = known.map((entity) => entity.popularity);
  return {
    statements: total,
    mean,
    least: mean * Math.min(...popularity),
    most: mean * Math.max(...popularity),
    rate,
  };
}
