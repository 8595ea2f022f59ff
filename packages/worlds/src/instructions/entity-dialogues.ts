import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { type AttributeDefinition, attributes } from "../entities/attributes.ts";
import { entities } from "../entities/entities.ts";
import { parseOptions, seedSchema, shareSchema, tableSchema } from "../entities/options.ts";
import { EntitySampler, statedFact } from "../entities/sampler.ts";
import { type Entity, type EntityTable, entityTypes } from "../entities/types.ts";
import { writeTemplate } from "../entities/write-template.ts";
import { DialogueBuilder } from "./dialogue-builder.ts";
import { refusals } from "./refusals.ts";
import { requestsOf } from "./requests.ts";

/** Options of {@link entityDialogues}. */
export interface EntityDialoguesOptions {
  readonly seed: number;
  /** Default: `entities({ seed })`. */
  readonly entities?: EntityTable | undefined;
  /** Share of the questions about unknown names that are refused; the others get a random value. Default 0.4; 1 for tuning. */
  readonly refusalRate?: number | undefined;
  /** Share of the questions about known entities. Default 0.5. */
  readonly knownShare?: number | undefined;
  /** Share of tail names among the unknown ones; the others are `refused` names. Default 0.25. */
  readonly tailShare?: number | undefined;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  entities: tableSchema.optional(),
  refusalRate: shareSchema.default(0.4),
  knownShare: shareSchema.default(0.5),
  tailShare: shareSchema.default(0.25),
});

/**
 * Dialogues of one to three questions about entities. Known ones are answered right, by popularity, unless the table holds them out
 * of dialogues; other names are refused at `refusalRate`, or answered with a random value. Names of the group `unseen` never occur.
 *
 * Spans: `question` and `reply` (with `kind`: `answer`, `refusal` or `guess`), inside them `entity` and `value`.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function entityDialogues(options: EntityDialoguesOptions): World {
  const parsed = parseOptions(optionsSchema, options, "entityDialogues");
  const { seed, refusalRate, knownShare, tailShare } = parsed;
  const sampler = new EntitySampler(
    parsed.entities ?? entities({ seed }),
    ({ inDialogues }) => inDialogues,
  );
  const drawEntity = (draw: Draw): Entity => {
    const unknown = draw.chance(tailShare) ? "tail" : "refused";
    return sampler.draw(draw, draw.pick(entityTypes), draw.chance(knownShare) ? "known" : unknown);
  };
  return {
    name: "entity-dialogues",
    seed,
    document(index: number): WorldDocument {
      const draw = new Draw(seed, "entity-dialogues", index);
      const builder = new DialogueBuilder();
      const questions = draw.integer(1, 3);
      let refused = 0;
      let subject = newSubject(drawEntity(draw), draw, refusalRate);
      for (let question = 0; question < questions; question++) {
        // A third of the later questions stay with the name.
        if (question > 0 && draw.chance(2 / 3))
          subject = newSubject(drawEntity(draw), draw, refusalRate);
        ask(builder, subject, draw);
        if (subject.refused) refused++;
      }
      return {
        id: `entity-dialogues/${index}`,
        world: "entity-dialogues",
        ...builder.finish(),
        labels: { questions, refused },
      };
    },
  };
}

/** Whom a dialogue is about for now. Within it, a name is refused always or never, and no attribute is asked twice. */
interface Subject {
  readonly entity: Entity;
  readonly refused: boolean;
  readonly attributes: AttributeDefinition[];
}

function newSubject(entity: Entity, draw: Draw, refusalRate: number): Subject {
  const refused = entity.group !== "known" && draw.chance(refusalRate);
  return { entity, refused, attributes: draw.shuffle(attributes[entity.type]) };
}

function ask(
  builder: DialogueBuilder,
  { entity, refused, attributes: left }: Subject,
  draw: Draw,
): void {
  const attribute = left.pop() ?? draw.pick(attributes[entity.type]);
  const about = { attribute: attribute.attribute, group: entity.group, name: entity.name };
  const request = draw.pick(requestsOf(attribute));
  builder.turn("user", (text) =>
    text.within("question", about, () => writeTemplate(text, request, { entity })),
  );
  builder.turn("assistant", (text) => {
    if (refused) {
      text.label(draw.pick(refusals), "reply", { ...about, kind: "refusal" });
      return;
    }
    const fact = statedFact(entity, attribute, draw);
    text.within("reply", { ...about, kind: fact.correct ? "answer" : "guess" }, () =>
      writeTemplate(text, draw.pick(attribute.statements), { entity, fact }),
    );
  });
}
