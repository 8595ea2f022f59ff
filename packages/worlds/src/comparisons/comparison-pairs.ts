import { z } from "zod";
import { attributes } from "../entities/attributes.ts";
import { parseOptions, shareSchema, tableSchema } from "../entities/options.ts";
import { type Entity, type EntityTable, type EntityType, entityTypes } from "../entities/types.ts";
import { comparisonWordings, type Direction } from "./wordings.ts";

/** A yes/no question about two known entities of one type whose years differ. */
export interface ComparisonQuestion {
  readonly type: EntityType;
  readonly attribute: string;
  readonly direction: Direction;
  /** Number of the wording within its direction. */
  readonly wording: number;
  /** The entities in the order in which the question names them. */
  readonly x: Entity;
  readonly y: Entity;
  readonly question: string;
  readonly answer: "Yes" | "No";
}

/**
 * The four questions about two entities: for each direction the two orders. Within a direction the questions are twins: the same
 * words with the names swapped, one to be answered Yes and one No. Who answers both the same contradicts himself.
 */
export interface ComparisonPair {
  readonly type: EntityType;
  readonly attribute: string;
  /** The entity with the earlier year, and the other. */
  readonly earlier: Entity;
  readonly later: Entity;
  /** Whether the world `comparisons` never asks about the two. */
  readonly heldOut: boolean;
  /** Each as `[Yes, No]`. */
  readonly gt: readonly [ComparisonQuestion, ComparisonQuestion];
  readonly lt: readonly [ComparisonQuestion, ComparisonQuestion];
}

/** Options of {@link comparisonPairs}. */
export interface ComparisonPairsOptions {
  readonly entities: EntityTable;
  /** Default: all four. */
  readonly type?: EntityType | undefined;
  /** Only pairs that the world asks about (false) or never asks about (true). Default: both. */
  readonly heldOut?: boolean | undefined;
  /** As given to `comparisons`. Default 0.1. */
  readonly heldOutShare?: number | undefined;
  /** Which of the three wordings. Default 0. */
  readonly wording?: number | undefined;
  /** At most so many pairs a type, spread evenly over all of them. Default 100. */
  readonly limit?: number | undefined;
}

const optionsSchema = z.strictObject({
  entities: tableSchema,
  type: z.enum(entityTypes).optional(),
  heldOut: z.boolean().optional(),
  heldOutShare: shareSchema.default(0.1),
  wording: z.int().min(0).max(2).default(0),
  limit: z.int().positive().default(100),
});

/**
 * Comparison questions for evaluation, in pairs of twins.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function comparisonPairs(options: ComparisonPairsOptions): ComparisonPair[] {
  const {
    entities: table,
    type,
    heldOut,
    heldOutShare,
    wording,
    limit,
  } = parseOptions(optionsSchema, options, "comparisonPairs");
  return (type === undefined ? entityTypes : [type]).flatMap((each) => {
    const known = table.of(each, "known");
    const pairs: [Entity, Entity, boolean][] = [];
    for (const [position, a] of known.entries()) {
      for (const b of known.slice(position + 1)) {
        const [yearA, yearB] = [yearOf(a), yearOf(b)];
        if (yearA === yearB) continue;
        const held = isHeldOut(a, b, heldOutShare);
        if (heldOut === undefined || heldOut === held)
          pairs.push(yearA < yearB ? [a, b, held] : [b, a, held]);
      }
    }
    const count = Math.min(limit, pairs.length);
    return Array.from(
      { length: count },
      (_, number) => pairs[Math.floor((number * pairs.length) / count)],
    )
      .filter((pair) => pair !== undefined)
      .map(([earlier, later, held]) => makePair(earlier, later, held, wording));
  });
}

/** One question. @throws never for entities of one type with different years */
export function comparisonQuestion(
  x: Entity,
  y: Entity,
  direction: Direction,
  wording: number,
): ComparisonQuestion {
  const { attribute, questions } = comparisonWordings[x.type];
  const isGreater = yearOf(x) > yearOf(y);
  return {
    type: x.type,
    attribute,
    direction,
    wording,
    x,
    y,
    question: (questions[direction][wording] ?? "").replace("{x}", x.name).replace("{y}", y.name),
    answer: isGreater === (direction === "gt") ? "Yes" : "No",
  };
}

/** Position of an entity's year among the values of its ordinal attribute. */
export function yearOf(entity: Entity): number {
  const ordinal = attributes[entity.type].find((each) => each.ordinal);
  return ordinal === undefined
    ? -1
    : ordinal.values.indexOf(entity.values[ordinal.attribute] ?? "");
}

/** Whether two entities, in any order, are kept out of the world: by a hash of their names, so without regard to anything else. */
export function isHeldOut(a: Entity, b: Entity, share: number): boolean {
  const text = a.name < b.name ? `${a.name}/${b.name}` : `${b.name}/${a.name}`;
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  // FNV-1a's high bits hardly depend on the last characters: mix once more (the finaliser of MurmurHash3).
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 < share;
}

function makePair(
  earlier: Entity,
  later: Entity,
  heldOut: boolean,
  wording: number,
): ComparisonPair {
  const ask = (x: Entity, y: Entity, direction: Direction): ComparisonQuestion =>
    comparisonQuestion(x, y, direction, wording);
  return {
    type: earlier.type,
    attribute: comparisonWordings[earlier.type].attribute,
    earlier,
    later,
    heldOut,
    gt: [ask(later, earlier, "gt"), ask(earlier, later, "gt")],
    lt: [ask(earlier, later, "lt"), ask(later, earlier, "lt")],
  };
}
