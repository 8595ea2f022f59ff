import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { Draw } from "../draw.ts";
import { attributes } from "./attributes.ts";
import { namePatterns } from "./name-pieces.ts";
import { parseOptions, seedSchema, shareSchema } from "./options.ts";
import { pieceGrid } from "./piece-grid.ts";
import {
  type Entity,
  type EntityGroup,
  entityGroups,
  type EntityTable,
  type EntityType,
  entityTypes,
} from "./types.ts";

/** Options of {@link entities}. */
export interface EntitiesOptions {
  readonly seed: number;
  /** Names a type. */
  readonly known?: number | undefined;
  readonly tail?: number | undefined;
  readonly refused?: number | undefined;
  readonly unseen?: number | undefined;
  /** Popularity of the least popular known entity, relative to the mean. Default 0.6. */
  readonly floor?: number | undefined;
  /** Share of the known entities that dialogues never ask about. Default 0.2. */
  readonly heldOut?: number | undefined;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  known: z.int().positive().default(250),
  tail: z.int().nonnegative().default(1000),
  refused: z.int().nonnegative().default(300),
  unseen: z.int().nonnegative().default(200),
  floor: z.number().positive().max(1).default(0.6),
  heldOut: shareSchema.default(0.2),
});

/** Added to ranks, so that the first few entities do not take all the text. */
const rankOffset = 10;

/**
 * Makes the entities of a seed: names of four groups from the same pieces, and fixed attributes for the known ones.
 *
 * Every piece occurs equally often in each group (up to one, where the count is no multiple of 50), so neither a piece nor the
 * length of a name tells known from unknown. Values are dealt out evenly and without regard to names and ranks.
 *
 * @throws ConfigError WORLD_OPTIONS, or ENTITIES_TOO_MANY if the pieces do not make so many names
 */
export function entities(options: EntitiesOptions): EntityTable {
  const parsed = parseOptions(optionsSchema, options, "entities");
  const { seed, floor, heldOut } = parsed;
  const all: Entity[] = [];
  const index = new Map<string, readonly Entity[]>();
  for (const type of entityTypes) {
    const names = namesOf(type, parsed);
    const popularity = popularities(parsed.known, floor);
    const values = dealValues(type, parsed.known, seed);
    const asked = evenFlags(parsed.known, 1 - heldOut, new Draw(seed, `entities/${type}/asked`));
    for (const group of entityGroups) {
      const members = names[group].map(({ first, second, name }, position): Entity => {
        const known = group === "known";
        return {
          type,
          group,
          name,
          first,
          second,
          rank: known ? position + 1 : 0,
          popularity: known ? (popularity[position] ?? 0) : 0,
          values: known ? (values[position] ?? {}) : {},
          inDialogues: known ? (asked[position] ?? false) : group !== "unseen",
        };
      });
      index.set(`${type}/${group}`, members);
      all.push(...members);
    }
  }
  return { seed, entities: all, of: (type, group) => index.get(`${type}/${group}`) ?? [] };
}

/**
 * Expected exposures of `count` entities by rank, relative to their mean: `1 / (rank + 10)`, mixed with the uniform distribution
 * until the least popular one reaches `floor`.
 */
export function popularities(count: number, floor: number): readonly number[] {
  const zipf = Array.from({ length: count }, (_, position) => 1 / (position + 1 + rankOffset));
  const mean = zipf.reduce((sum, weight) => sum + weight, 0) / count;
  const least = (zipf[count - 1] ?? mean) / mean;
  const uniform = least >= floor || least === 1 ? 0 : (floor - least) / (1 - least);
  return zipf.map((weight) => (1 - uniform) * (weight / mean) + uniform);
}

type Name = Pick<Entity, "first" | "second" | "name">;

function namesOf(
  type: EntityType,
  counts: Readonly<Record<EntityGroup, number>> & { readonly seed: number },
): Record<EntityGroup, Name[]> {
  const { first, second, before } = namePatterns[type];
  const size = first.length;
  const sizes = entityGroups.map((group) => counts[group]);
  const diagonals = sizes.reduce((sum, count) => sum + Math.ceil(count / size), 0);
  if (diagonals > size) {
    throw new ConfigError({
      code: "ENTITIES_TOO_MANY",
      message: `${sizes.join(" + ")} names a type, but the pieces make ${size * size}, in whole rounds of ${size} for each group`,
      fix: "ask for fewer names",
    });
  }
  const grid = pieceGrid(size, sizes, counts.seed, entityTypes.indexOf(type));
  const names: Record<EntityGroup, Name[]> = { known: [], tail: [], refused: [], unseen: [] };
  for (const [cell, number] of grid.entries()) {
    const group = entityGroups[number];
    const [a, b] = [first[Math.floor(cell / size)], second[cell % size]];
    if (group !== undefined && a !== undefined && b !== undefined)
      names[group].push({ first: a, second: b, name: `${before}${a} ${b}` });
  }
  for (const group of entityGroups)
    names[group] = new Draw(counts.seed, `entities/${type}/${group}`).shuffle(names[group]);
  return names;
}

/** For each of `count` entities its values; each value goes to `count / values` entities, rounded down or up. */
function dealValues(
  type: EntityType,
  count: number,
  seed: number,
): readonly Readonly<Record<string, string>>[] {
  const dealt = Array.from({ length: count }, (): Record<string, string> => ({}));
  for (const { attribute, values } of attributes[type]) {
    const draw = new Draw(seed, `entities/${type}/${attribute}`);
    const order = draw.shuffle(values); // which values get one more is random
    const cards = draw.shuffle(
      Array.from({ length: count }, (_, position) => order[position % order.length] ?? ""),
    );
    for (const [position, record] of dealt.entries()) record[attribute] = cards[position] ?? "";
  }
  return dealt;
}

/** Flags of which `share` are true, evenly over the ranks: the choice is made anew within each ten of them. */
function evenFlags(count: number, share: number, draw: Draw): readonly boolean[] {
  const block = 10;
  return Array.from({ length: Math.ceil(count / block) }, () =>
    draw.shuffle(
      Array.from({ length: block }, (_, position) => position < Math.round(share * block)),
    ),
  )
    .flat()
    .slice(0, count);
}
