/** The four types of entities, after those of the study of entity recognition in language models (2411.14257). */
export const entityTypes = ["people", "places", "works", "teams"] as const;

/** One of {@link entityTypes}. */
export type EntityType = (typeof entityTypes)[number];

/**
 * What a model may know of a name: `known` ones have fixed attributes, `tail` ones are stated with attributes that change at each
 * document, `refused` ones occur only in dialogues, and `unseen` ones in no text at all.
 */
export const entityGroups = ["known", "tail", "refused", "unseen"] as const;

/** One of {@link entityGroups}. */
export type EntityGroup = (typeof entityGroups)[number];

/** A named thing. */
export interface Entity {
  readonly type: EntityType;
  readonly group: EntityGroup;
  /** For example `Orla Vance`, `Kestwick Hollow`, `The Amber Lantern`, `Brampton Herons`. */
  readonly name: string;
  /** The pieces of the name. */
  readonly first: string;
  readonly second: string;
  /** Popularity rank among the known ones of its type, from 1; 0 for the other groups. */
  readonly rank: number;
  /** Expected exposures relative to the mean of the known ones of its type; 0 for the other groups. */
  readonly popularity: number;
  /** Value by attribute; empty unless known. */
  readonly values: Readonly<Record<string, string>>;
  /** Whether the dialogues may ask about it. Known ones that they never ask about show whether an instruction-tuned model recalls
   * what it was only ever told in running text. */
  readonly inDialogues: boolean;
}

/** All entities of a seed. */
export interface EntityTable {
  readonly seed: number;
  /** By type, group and rank, in this order. */
  readonly entities: readonly Entity[];
  /** The entities of a type and group; known ones by rank. */
  of(type: EntityType, group: EntityGroup): readonly Entity[];
}
