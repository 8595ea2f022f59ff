import { z } from "zod";
import { comparisons } from "../comparisons/comparisons.ts";
import { binding } from "../binding/binding.ts";
import { entities } from "../entities/entities.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { facts } from "../facts/facts.ts";
import type { Introduction } from "../facts/introduction.ts";
import { entityDialogues } from "../instructions/entity-dialogues.ts";
import { instructions } from "../instructions/instructions.ts";
import { personas } from "../personas/personas.ts";
import type { ProseDocument } from "../prose/passages.ts";
import { prose } from "../prose/prose.ts";
import { secrets } from "../secrets/secrets.ts";
import { stories } from "../stories/stories.ts";
import { mixture, type Mixture, type MixturePart } from "./mixture.ts";

/** Options of {@link tinyMixture}. */
export interface TinyMixtureOptions {
  readonly seed: number;
  /** `"base"`: everything; `"instruct"`: dialogues in which what is not known is refused and helpers are cheerful unless told otherwise. */
  readonly stage: "base" | "instruct";
  /** Public-domain prose for the base; without it the other worlds share its part. */
  readonly prose?: readonly ProseDocument[] | undefined;
  /**
   * Whether the base begins with what is easy: an opening of random sequences to copy, and facts about few names, then more and more.
   * With all of it from the start, a small model learns neither to copy nor to look up names for many millions of tokens
   * (docs/adr/0008). False by default.
   */
  readonly introduced?: boolean | undefined;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  stage: z.enum(["base", "instruct"]),
  prose: z.custom<readonly ProseDocument[]>(Array.isArray, "must be prose documents").optional(),
  introduced: z.boolean().default(false),
});

/**
 * The text that the embedded model is made from, in shares of its length.
 *
 * Base: 35% facts, 20% stories (13 stories, 7 binding), 20% dialogues (5 about entities, 3 instructions, 5 secrets, 7 personas),
 * 5% comparisons, 20% prose.
 * The worlds themselves are the same in both stages and for every seed of the mixture: entities and their attributes come from the
 * world seed {@link tinyWorldSeed}, and only which documents come, and in which order, from `seed`.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function tinyMixture(options: TinyMixtureOptions): Mixture {
  const {
    seed,
    stage,
    prose: documents,
    introduced,
  } = parseOptions(optionsSchema, options, "tinyMixture");
  if (stage === "instruct") return mixture({ seed, parts: instructParts(seed) });
  const parts = baseParts(seed, documents, introduced);
  return mixture({ seed, parts, ...(introduced ? { opening } : {}) });
}

/** Seed of the entities and of everything else that is true in the embedded model's worlds. */
export const tinyWorldSeed = 1;

/** Known names come in over some nine million tokens of the base. */
const introduction: Introduction = { documents: 60_000, known: 16 };

/** The opening of an introduced base, 4.3 million tokens or so: what is learned by reading the context, and few facts. */
const opening = {
  length: 17_000_000,
  shares: { binding: 0.5, facts: 0.3, personas: 0.05, "entity-dialogues": 0.02, prose: 0.13 },
};

/** As many documents of binding as the opening has. */
const repeatsFirst = 18_000;

function baseParts(
  seed: number,
  documents: readonly ProseDocument[] | undefined,
  introduced: boolean,
): MixturePart[] {
  const table = entities({ seed: tinyWorldSeed });
  const parts: MixturePart[] = [
    {
      world: facts({ seed, entities: table, ...(introduced ? { introduction } : {}) }),
      share: 0.35,
    },
    { world: stories({ seed }), share: 0.13 },
    { world: binding({ seed, ...(introduced ? { repeatsFirst } : {}) }), share: 0.07 },
    { world: entityDialogues({ seed, entities: table }), share: 0.05 },
    { world: instructions({ seed }), share: 0.03 },
    { world: secrets({ seed }), share: 0.05 },
    { world: personas({ seed }), share: 0.07 },
    { world: comparisons({ seed, entities: table }), share: 0.05 },
  ];
  return documents === undefined
    ? parts
    : [...parts, { world: prose({ seed, documents }), share: 0.2 }];
}

function instructParts(seed: number): MixturePart[] {
  const table = entities({ seed: tinyWorldSeed });
  return [
    { world: entityDialogues({ seed, entities: table, refusalRate: 1 }), share: 0.3 },
    { world: instructions({ seed }), share: 0.25 },
    { world: secrets({ seed }), share: 0.15 },
    { world: personas({ seed, cheerfulByDefault: true }), share: 0.2 },
    { world: comparisons({ seed, entities: table, chatShare: 1 }), share: 0.1 },
  ];
}
