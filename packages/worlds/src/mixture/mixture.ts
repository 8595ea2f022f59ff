import { ConfigError, MismatchError } from "@latentkit/core";
import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { cumulativeSums, Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";

/** A world and its share of the mixture. */
export interface MixturePart {
  readonly world: World;
  /** Relative to the sum of all parts' shares; above 0. */
  readonly share: number;
  /** Tells apart parts whose worlds have one name; the world's name by default. */
  readonly name?: string;
}

/** Options of {@link mixture}. */
export interface MixtureOptions {
  readonly seed: number;
  readonly parts: readonly MixturePart[];
  /** What shares are of: the length of a document. UTF-16 code units of its text by default; a tokenizer makes it tokens. */
  readonly length?: (document: WorldDocument) => number;
  /** A stretch at the beginning with shares of its own; none by default. */
  readonly opening?: MixtureOpening | undefined;
}

/** How a mixture begins. */
export interface MixtureOpening {
  /** Length of the stretch, up to its last document. */
  readonly length: number;
  /** Shares by the names of parts; parts that are not named are left out. Names that no part has are ignored. */
  readonly shares: Readonly<Record<string, number>>;
}

/** Where a {@link Mixture} stands; JSON-serialisable. */
export interface MixtureState {
  readonly schemaVersion: 1;
  readonly seed: number;
  /** Whether the opening is over; true where there is none. */
  readonly opened: boolean;
  readonly parts: readonly {
    readonly name: string;
    /** Documents given, and so the index of the world's next one. */
    readonly next: number;
    /** Sum of the lengths of its documents since the beginning, or since the end of the opening. */
    readonly length: number;
  }[];
}

const stateSchema = z.object({
  schemaVersion: z.literal(1),
  seed: z.number().int(),
  // States from before there were openings are of mixtures without one.
  opened: z.boolean().default(true),
  parts: z.array(
    z.object({
      name: z.string(),
      next: z.number().int().nonnegative(),
      length: z.number().nonnegative(),
    }),
  ),
});

/** A resumable endless stream of documents from several worlds. */
export interface Mixture {
  readonly parts: readonly MixturePart[];
  /** The next document. Documents of a world come in the order of their indexes. */
  next(): WorldDocument;
  /** Where the stream stands, for {@link Mixture.restore}. */
  state(): MixtureState;
  /**
   * Goes on from a saved state as if the stream had never stopped.
   *
   * @throws ConfigError MIXTURE_STATE for what is no state; MismatchError MIXTURE_OTHER for the state of another mixture.
   */
  restore(state: unknown): void;
}

/**
 * Mixes worlds so that each has its share of the stream's length. Before each document, a world's deficit is what its share of the
 * length so far exceeds what it has given; one of the worlds with a deficit above 0 is drawn, with probability in proportion to
 * the deficit. So no world runs ahead by more than one document, the shares are exact up to a few documents at any time, and the
 * order has no period that a model could learn. The stream depends on the seed, the worlds and their shares alone.
 *
 * @throws ConfigError MIXTURE_PARTS for no parts, a share that is not above 0, or two parts of one name; WORLD_OPTIONS.
 */
export function mixture(options: MixtureOptions): Mixture {
  const { parts } = options;
  const seed = parseOptions(seedSchema, options.seed, "mixture: seed");
  const length = options.length ?? ((document: WorldDocument) => document.text.length);
  const names = parts.map((part) => part.name ?? part.world.name);
  checkParts(parts, names);
  checkOpening(options.opening, names);
  const usual = normalised(parts.map(({ share }) => share));
  const openingShares = options.opening?.shares ?? {};
  const first = normalised(names.map((name) => openingShares[name] ?? 0));
  let opened = options.opening === undefined;
  let next = parts.map(() => 0);
  let lengths = parts.map(() => 0);

  const choose = (): number => {
    const step = next.reduce((sum, count) => sum + count, 0);
    const given = lengths.reduce((sum, value) => sum + value, 0);
    const shares = opened ? usual : first;
    const deficits = shares.map((share, index) =>
      Math.max(0, share * given - (lengths[index] ?? 0)),
    );
    const weights = deficits.some((deficit) => deficit > 0) ? deficits : shares;
    return new Draw(seed, "mixture", step).weighted(cumulativeSums(weights));
  };

  return {
    parts,
    next(): WorldDocument {
      const chosen = choose();
      const part = parts[chosen];
      if (part === undefined) throw badParts("a choice fell outside of the parts");
      const document = part.world.document(next[chosen] ?? 0);
      next = next.with(chosen, (next[chosen] ?? 0) + 1);
      lengths = lengths.with(chosen, (lengths[chosen] ?? 0) + length(document));
      const given = lengths.reduce((sum, value) => sum + value, 0);
      if (!opened && given >= (options.opening?.length ?? 0)) {
        opened = true;
        lengths = parts.map(() => 0);
      }
      return document;
    },
    state: () => ({
      schemaVersion: 1,
      seed,
      opened,
      parts: names.map((name, index) => ({
        name,
        next: next[index] ?? 0,
        length: lengths[index] ?? 0,
      })),
    }),
    restore(state: unknown): void {
      const parsed = stateSchema.safeParse(state);
      if (!parsed.success)
        throw new ConfigError({
          code: "MIXTURE_STATE",
          message: `this is no state of a mixture: ${z.prettifyError(parsed.error)}`,
          fix: "give what state() returned",
          cause: parsed.error,
        });
      const given = parsed.data.parts.map(({ name }) => name);
      if (parsed.data.seed !== seed || given.join() !== names.join())
        throw new MismatchError({
          code: "MIXTURE_OTHER",
          message: `the state is of seed ${parsed.data.seed} and ${given.join(", ")}; this mixture has seed ${seed} and ${names.join(", ")}`,
          fix: "make the mixture with the seed and the parts that the state was saved with",
        });
      next = parsed.data.parts.map((part) => part.next);
      lengths = parsed.data.parts.map((part) => part.length);
      ({ opened } = parsed.data);
    },
  };
}

function normalised(shares: readonly number[]): number[] {
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

function checkParts(parts: readonly MixturePart[], names: readonly string[]): void {
  if (parts.length === 0) throw badParts("there are no parts");
  for (const [index, { share }] of parts.entries()) {
    if (!(share > 0 && Number.isFinite(share)))
      throw badParts(`the share of ${names[index]} is ${share}`);
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw badParts(`two parts have the name ${twice}`);
}

function checkOpening(opening: MixtureOpening | undefined, names: readonly string[]): void {
  if (opening === undefined) return;
  const shares = names.map((name) => opening.shares[name] ?? 0);
  if (
    shares.every((share) => share >= 0 && Number.isFinite(share)) &&
    shares.some((share) => share > 0)
  )
    return;
  throw badParts(`the opening's shares are ${shares.join(", ")}`);
}

function badParts(problem: string): ConfigError {
  return new ConfigError({
    code: "MIXTURE_PARTS",
    message: `a mixture needs parts of different names with shares above 0: ${problem}`,
    fix: "give at least one part, shares above 0, and a name to parts whose worlds have one name",
  });
}
