import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { attributes } from "../entities/attributes.ts";
import { entities } from "../entities/entities.ts";
import { parseOptions, seedSchema, shareSchema, tableSchema } from "../entities/options.ts";
import { EntitySampler, statedFact } from "../entities/sampler.ts";
import { type Entity, type EntityTable, entityTypes } from "../entities/types.ts";
import { writeTemplate } from "../entities/write-template.ts";
import { DialogueBuilder } from "../instructions/dialogue-builder.ts";
import { TextBuilder } from "../text-builder.ts";
import {
  type ComparisonQuestion,
  comparisonQuestion,
  isHeldOut,
  yearOf,
} from "./comparison-pairs.ts";
import { comparisonWordings, reasoningRequests } from "./wordings.ts";

/** Options of {@link comparisons}. */
export interface ComparisonsOptions {
  readonly seed: number;
  /** Default: `entities({ seed })`. */
  readonly entities?: EntityTable | undefined;
  /** Share of the questions that are answered after reasoning. Default 0.6. */
  readonly reasonedShare?: number | undefined;
  /** Share of the documents that are dialogues. Default 0.5. */
  readonly chatShare?: number | undefined;
  /** Share of the pairs that are never asked about. Default 0.1. */
  readonly heldOutShare?: number | undefined;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  entities: tableSchema.optional(),
  reasonedShare: shareSchema.default(0.6),
  chatShare: shareSchema.default(0.5),
  heldOutShare: z.number().min(0).max(0.9).default(0.1),
});

/** A text's question and how it is answered. */
interface Exercise {
  readonly asked: ComparisonQuestion;
  readonly reasoned: boolean;
}

/**
 * Yes/no questions that compare the years of two known entities, with right answers, one or two a document, as running text or
 * dialogue (which leaves out the entities that the table holds out of dialogues). Most are answered after a short reasoning. Whichever the answer, the directions, orders and wordings are equally likely.
 *
 * Spans: `question`, `reasoning` (with the `entity` and `value` of the facts inside) and `answer`.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function comparisons(options: ComparisonsOptions): World {
  const parsed = parseOptions(optionsSchema, options, "comparisons");
  const { seed, reasonedShare, chatShare, heldOutShare } = parsed;
  const table = parsed.entities ?? entities({ seed });
  const samplers = {
    plain: new EntitySampler(table),
    chat: new EntitySampler(table, ({ inDialogues }) => inDialogues),
  };
  return {
    name: "comparisons",
    seed,
    document(index: number): WorldDocument {
      const draw = new Draw(seed, "comparisons", index);
      const chat = draw.chance(chatShare);
      const sampler = chat ? samplers.chat : samplers.plain;
      const exercises = Array.from({ length: draw.integer(1, 2) }, () => ({
        asked: drawQuestion(draw, sampler, heldOutShare),
        reasoned: draw.chance(reasonedShare),
      }));
      const written = chat
        ? writeChat(draw, exercises)
        : { ...writePlain(draw, exercises), turns: null };
      const labels = { chat, questions: exercises.length };
      return { id: `comparisons/${index}`, world: "comparisons", ...written, labels };
    },
  };
}

function drawQuestion(
  draw: Draw,
  sampler: EntitySampler,
  heldOutShare: number,
): ComparisonQuestion {
  const type = draw.pick(entityTypes);
  for (let attempt = 0; attempt < 1000; attempt++) {
    const [x, y] = [sampler.draw(draw, type, "known"), sampler.draw(draw, type, "known")];
    if (yearOf(x) === yearOf(y) || isHeldOut(x, y, heldOutShare)) continue;
    return comparisonQuestion(x, y, draw.chance(0.5) ? "gt" : "lt", draw.integer(0, 2));
  }
  throw new ConfigError({
    code: "COMPARISONS_NONE",
    message: `comparisons: among ${sampler.members(type, "known").length} known ${type} no two were found whose years differ`,
    fix: "give a table with more known entities",
  });
}

function writeChat(
  draw: Draw,
  exercises: readonly Exercise[],
): ReturnType<DialogueBuilder["finish"]> {
  const builder = new DialogueBuilder();
  for (const { asked, reasoned } of exercises) {
    builder.turn("user", (text) => {
      writeQuestion(text, asked);
      text.add(reasoned ? reasoningRequests.reasoned : reasoningRequests.direct);
    });
    builder.turn("assistant", (text) => {
      if (reasoned) writeReasoning(draw, text, asked);
      writeAnswer(text, asked, reasoned ? " so the answer is " : "");
    });
  }
  return builder.finish();
}

function writePlain(draw: Draw, exercises: readonly Exercise[]): ReturnType<TextBuilder["finish"]> {
  const text = new TextBuilder();
  const brief = draw.chance(0.5);
  const [question, reasoning, answer] = brief
    ? ["Q: ", " ", " A: "]
    : ["Question: ", "\nReasoning: ", "\nAnswer: "];
  for (const [position, { asked, reasoned }] of exercises.entries()) {
    if (position > 0) text.add("\n");
    text.add(question);
    writeQuestion(text, asked);
    if (reasoned) {
      text.add(brief ? " A: " : reasoning);
      writeReasoning(draw, text, asked);
      writeAnswer(text, asked, " so the answer is ");
    } else writeAnswer(text, asked, answer);
  }
  return text.finish();
}

function writeQuestion(
  text: TextBuilder,
  { question, type, attribute, direction, wording, x, y }: ComparisonQuestion,
): void {
  text.label(question, "question", { type, attribute, direction, wording, x: x.name, y: y.name });
}

/** Both facts, in any order, and what follows from them; ends with a comma. */
function writeReasoning(draw: Draw, text: TextBuilder, asked: ComparisonQuestion): void {
  const { x, y, type } = asked;
  text.within("reasoning", { x: x.name, y: y.name }, () => {
    for (const entity of draw.shuffle([x, y])) {
      writeFact(draw, text, entity);
      text.add(" ");
    }
    const [left, right] = draw.chance(0.5) ? [x, y] : [y, x];
    const relation = yearOf(left) < yearOf(right) ? "earlier" : "later";
    const ordinal = comparisonWordings[type].attribute;
    text.add(`${left.values[ordinal] ?? ""} is ${relation} than ${right.values[ordinal] ?? ""},`);
  });
}

function writeFact(draw: Draw, text: TextBuilder, entity: Entity): void {
  const { attribute, fact: template } = comparisonWordings[entity.type];
  const definition = attributes[entity.type].find((each) => each.attribute === attribute);
  if (definition !== undefined)
    writeTemplate(text, template, { entity, fact: statedFact(entity, definition, draw) });
}

function writeAnswer(text: TextBuilder, { answer }: ComparisonQuestion, before: string): void {
  text.add(before).label(answer, "answer", { answer });
  text.add(".");
}
