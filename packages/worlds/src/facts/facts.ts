import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { entities } from "../entities/entities.ts";
import { parseOptions, seedSchema, shareSchema, tableSchema } from "../entities/options.ts";
import { EntitySampler, type StatedFact, statedFacts } from "../entities/sampler.ts";
import { type Entity, type EntityTable, entityTypes } from "../entities/types.ts";
import { writeTemplate } from "../entities/write-template.ts";
import { TextBuilder } from "../text-builder.ts";
import { familiarityCues } from "./cues.ts";
import { fillerSentence } from "./filler.ts";
import { type Form, type FormName, planForm } from "./forms.ts";
import { introducedNames, type Introduction, introductionSchema } from "./introduction.ts";

/** Options of {@link facts}. */
export interface FactsOptions {
  readonly seed: number;
  /** Default: `entities({ seed })`. */
  readonly entities?: EntityTable | undefined;
  /** Share of mentioned entities that are known; the rest are tail names. Default 0.65. */
  readonly knownShare?: number | undefined;
  /** Share of first mentions that a familiarity cue follows. Default 0.5. */
  readonly cueShare?: number | undefined;
  /** How the names come in; all are there from the first document by default. */
  readonly introduction?: Introduction | undefined;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  entities: tableSchema.optional(),
  knownShare: shareSchema.default(0.65),
  cueShare: shareSchema.default(0.5),
  introduction: introductionSchema.optional(),
});

interface Unit {
  readonly entity: Entity;
  readonly form: Form;
}

/**
 * Running text about entities: one to three of them a document, each with two to four facts in sentences, lists, and questions
 * with answers, in random order, with up to two sentences about nobody in between. Known entities keep their values; those of tail
 * names are drawn anew in each document.
 *
 * Spans: `statement` around each sentence, list or question with its answer; inside it `entity`, `cue` and `value`; `filler`.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function facts(options: FactsOptions): World {
  const {
    seed,
    entities: table,
    knownShare,
    cueShare,
    introduction,
  } = parseOptions(optionsSchema, options, "facts");
  const sampler = new EntitySampler(table ?? entities({ seed }));
  const all = Math.max(...entityTypes.map((type) => sampler.members(type, "known").length));
  return {
    name: "facts",
    seed,
    document(index: number): WorldDocument {
      const draw = new Draw(seed, "facts", index);
      const most = introducedNames(introduction, index, all);
      const tailShare = ((1 - knownShare) * most) / all;
      const mentioned = drawEntities(draw, sampler, { tailShare, most });
      const units = draw.shuffle(
        mentioned.flatMap((entity) => {
          const count = draw.integer(mentioned.length === 1 ? 3 : 2, 4);
          return unitsOf(entity, statedFacts(entity, count, draw), draw);
        }),
      );
      const { text, spans } = writeDocument(draw, units, cueShare);
      const known = mentioned.filter(({ group }) => group === "known").length;
      return {
        id: `facts/${index}`,
        world: "facts",
        text,
        turns: null,
        spans,
        labels: {
          entities: mentioned.length,
          known,
          facts: units.reduce((sum, { form }) => sum + form.facts.length, 0),
        },
      };
    },
  };
}

function drawEntities(
  draw: Draw,
  sampler: EntitySampler,
  { tailShare, most }: { readonly tailShare: number; readonly most: number },
): readonly Entity[] {
  const count = [1, 1, 2, 2, 3][draw.integer(0, 4)] ?? 1;
  const drawn = new Set<Entity>();
  // Drawn again if the document has it already, which happens so rarely that the popularities stay what they are.
  while (drawn.size < count)
    drawn.add(
      sampler.draw(
        draw,
        draw.pick(entityTypes),
        draw.chance(1 - tailShare) ? "known" : "tail",
        most,
      ),
    );
  return [...drawn];
}

function unitsOf(entity: Entity, stated: readonly StatedFact[], draw: Draw): readonly Unit[] {
  const units: Unit[] = [];
  for (let next = 0; next < stated.length;) {
    const form = planForm(draw, stated.slice(next));
    units.push({ entity, form });
    next += form.facts.length;
  }
  return units;
}

function writeDocument(
  draw: Draw,
  units: readonly Unit[],
  cueShare: number,
): ReturnType<TextBuilder["finish"]> {
  const builder = new TextBuilder();
  const separator = draw.chance(0.3) ? "\n" : " ";
  const fillers = [0, 0, 0, 0, 0, 1, 1, 2][draw.integer(0, 7)] ?? 0;
  const before = Array.from({ length: fillers }, () => draw.integer(0, units.length));
  const met = new Set<Entity>();
  for (let position = 0; position <= units.length; position++) {
    for (const place of before) {
      if (place !== position) continue;
      if (builder.length > 0) builder.add(separator);
      builder.label(fillerSentence(draw), "filler");
    }
    const unit = units[position];
    if (unit === undefined) continue;
    if (builder.length > 0) builder.add(separator);
    const { entity, form } = unit;
    const hasCue = !met.has(entity) && draw.chance(cueShare);
    met.add(entity);
    writeUnit(
      builder,
      unit,
      form.name,
      hasCue ? draw.pick(familiarityCues[entity.group === "known" ? "known" : "tail"]) : undefined,
    );
  }
  return builder.finish();
}

function writeUnit(
  builder: TextBuilder,
  { entity, form }: Unit,
  name: FormName,
  cue: string | undefined,
): void {
  builder.within("statement", { form: name, facts: form.facts.length }, () => {
    for (const [piece, template] of form.templates.entries())
      writeTemplate(builder, template, {
        entity,
        fact: form.facts[piece],
        cue: piece === 0 ? cue : undefined,
      });
  });
}
