import { cumulativeSums, type Draw } from "../draw.ts";
import { attributes, type AttributeDefinition } from "./attributes.ts";
import {
  type Entity,
  type EntityGroup,
  type EntityTable,
  type EntityType,
  entityTypes,
} from "./types.ts";

/** Draws entities of a table: known ones by popularity, others evenly. */
export class EntitySampler {
  readonly #members = new Map<string, readonly Entity[]>();
  readonly #cumulative = new Map<EntityType, Float64Array>();

  /** @param keep which entities may be drawn; all by default */
  constructor(table: EntityTable, keep: (entity: Entity) => boolean = () => true) {
    for (const type of entityTypes) {
      for (const group of ["known", "tail", "refused"] as const)
        this.#members.set(`${type}/${group}`, table.of(type, group).filter(keep));
      this.#cumulative.set(
        type,
        cumulativeSums(this.members(type, "known").map(({ popularity }) => popularity)),
      );
    }
  }

  /** All that may be drawn of a type and group. */
  members(type: EntityType, group: EntityGroup): readonly Entity[] {
    return this.#members.get(`${type}/${group}`) ?? [];
  }

  /**
   * One of them, or one of the `most` most popular known ones.
   *
   * @throws ConfigError CHOICE_EMPTY if there is none
   */
  draw(
    draw: Draw,
    type: EntityType,
    group: "known" | "tail" | "refused",
    most = Number.POSITIVE_INFINITY,
  ): Entity {
    const members = this.members(type, group);
    const cumulative = this.#cumulative.get(type)?.subarray(0, most) ?? [];
    const chosen = group === "known" ? members[draw.weighted(cumulative)] : undefined;
    return chosen ?? draw.pick(members);
  }
}

/** What a text states of an entity. */
export interface StatedFact {
  readonly attribute: AttributeDefinition;
  readonly value: string;
  /** Whether it is the entity's own value; false for all that is said of names without fixed values. */
  readonly correct: boolean;
}

/** The fixed value of a known entity, and a random one for any other. */
export function statedFact(entity: Entity, attribute: AttributeDefinition, draw: Draw): StatedFact {
  const own = entity.values[attribute.attribute];
  return { attribute, value: own ?? draw.pick(attribute.values), correct: own !== undefined };
}

/** `count` different attributes of an entity's type in random order, as stated. */
export function statedFacts(entity: Entity, count: number, draw: Draw): readonly StatedFact[] {
  return draw
    .sample(attributes[entity.type], count)
    .map((attribute) => statedFact(entity, attribute, draw));
}
