import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { openTurn, renderTurns } from "../chat-markup.ts";
import { Draw } from "../draw.ts";
import { allAttributes, type AttributeDefinition, attributes } from "../entities/attributes.ts";
import { parseOptions, tableSchema } from "../entities/options.ts";
import {
  type Entity,
  type EntityGroup,
  entityGroups,
  type EntityTable,
  type EntityType,
  entityTypes,
} from "../entities/types.ts";
import { fillTemplate } from "../entities/write-template.ts";
import { requestsOf } from "../instructions/requests.ts";
import { questionFrames } from "./forms.ts";

/** Options of {@link factQuestions}. */
export interface FactQuestionsOptions {
  readonly entities: EntityTable;
  /** Default: all four. */
  readonly type?: EntityType | undefined;
  readonly group: EntityGroup;
  /** For example `profession`; default: all of the type. */
  readonly attribute?: string | undefined;
  /** `base`: running text to be continued. `chat`: a user's turn. */
  readonly style: "base" | "chat";
  /** Which wording, from 0; default: all of them, in order. See {@link FactQuestion.paraphrase}. */
  readonly paraphrase?: number | undefined;
}

/** A question about one attribute of one name. */
export interface FactQuestion {
  readonly entity: Entity;
  readonly attribute: string;
  readonly style: "base" | "chat";
  /** Number of the wording: an attribute has ten in the base style and four in the chat style. */
  readonly paraphrase: number;
  /** What a model continues freely. In the chat style it ends after the opening of the assistant's turn. */
  readonly prompt: string;
  /** What a candidate follows: the prompt, in the chat style with the beginning of an answer (`The profession of Orla Vance is`). */
  readonly scoredPrompt: string;
  /** All values of the attribute, each with the space before it. */
  readonly candidates: readonly string[];
  /** The right one among the candidates; null for names without fixed values. */
  readonly gold: string | null;
  /**
   * For names without fixed values, a value dealt at random: the accuracy against it is what guessing brings, and must not exceed
   * the share of the commonest value. Null for known entities.
   */
  readonly placebo: string | null;
}

const optionsSchema = z.strictObject({
  entities: tableSchema,
  type: z.enum(entityTypes).optional(),
  group: z.enum(entityGroups),
  attribute: z.string().optional(),
  style: z.enum(["base", "chat"]),
  paraphrase: z.int().nonnegative().optional(),
});

/**
 * Questions that test what a model recalls, in the order of the entities, then attributes, then wordings.
 *
 * Score by the most likely of `candidates` after `scoredPrompt`, or generate from `prompt` and look for `gold`.
 *
 * @throws ConfigError WORLD_OPTIONS, or ATTRIBUTE_UNKNOWN if no chosen type has the attribute
 */
export function factQuestions(options: FactQuestionsOptions): FactQuestion[] {
  const {
    entities: table,
    type,
    group,
    attribute,
    style,
    paraphrase,
  } = parseOptions(optionsSchema, options, "factQuestions");
  const types = type === undefined ? entityTypes : [type];
  const asked = types
    .flatMap((each) => attributes[each])
    .filter((each) => attribute === undefined || each.attribute === attribute);
  if (asked.length === 0) throw unknownAttribute(attribute ?? "", types);
  return types.flatMap((each) =>
    table.of(each, group).flatMap((entity, position) =>
      asked
        .filter((definition) => definition.type === each)
        .flatMap((definition) => {
          const wordings = style === "base" ? baseWordings(definition) : chatWordings(definition);
          const common = answersOf(table, definition, entity, position);
          return wordings.flatMap((wording, number) =>
            paraphrase === undefined || paraphrase === number
              ? [
                  {
                    entity,
                    attribute: definition.attribute,
                    style,
                    paraphrase: number,
                    ...promptOf(wording, entity),
                    ...common,
                  },
                ]
              : [],
          );
        }),
    ),
  );
}

/** The commonest value of an attribute among the known entities, and its share: what one gets right without knowing any name. */
export function majorityBaseline(
  table: EntityTable,
  attribute: string,
): { readonly value: string; readonly share: number } {
  const definition = allAttributes.find((each) => each.attribute === attribute);
  if (definition === undefined) throw unknownAttribute(attribute, entityTypes);
  const known = table.of(definition.type, "known");
  const counts = definition.values.map(
    (value) => known.filter(({ values }) => values[attribute] === value).length,
  );
  const most = Math.max(...counts);
  return {
    value: definition.values[counts.indexOf(most)] ?? "",
    share: most / Math.max(1, known.length),
  };
}

interface Wording {
  readonly user: string | null;
  readonly stem: string;
}

/** Statements that stop before the value, and questions that stop after `A:` and the like, in turn. */
function baseWordings(definition: AttributeDefinition): readonly Wording[] {
  const stems = definition.statements.map(cutValue);
  const frames = questionFrames.flatMap((frame) =>
    definition.questions.map((question) => cutValue(frame.replace("{q}", question))),
  );
  const inTurn = frames.flatMap((frame, position) => [stems[position] ?? [], frame].flat());
  return inTurn.map((stem) => ({ user: null, stem: stem.replace("{a}", definition.article) }));
}

function chatWordings(definition: AttributeDefinition): readonly Wording[] {
  const stem = cutValue(definition.statements[0] ?? "");
  return requestsOf(definition).map((user) => ({ user, stem }));
}

/** Every template has its value after a space and at its end. */
function cutValue(template: string): string {
  return template.slice(0, template.indexOf("{v}")).trimEnd();
}

function promptOf(
  { user, stem }: Wording,
  entity: Entity,
): Pick<FactQuestion, "prompt" | "scoredPrompt"> {
  const scored = fillTemplate(stem, entity).trimEnd();
  if (user === null) return { prompt: scored, scoredPrompt: scored };
  const prompt =
    renderTurns([{ role: "user", content: fillTemplate(user, entity) }]) + openTurn("assistant");
  return { prompt, scoredPrompt: prompt + scored };
}

function answersOf(
  table: EntityTable,
  definition: AttributeDefinition,
  entity: Entity,
  position: number,
): Pick<FactQuestion, "candidates" | "gold" | "placebo"> {
  const value = entity.values[definition.attribute];
  const name = `placebo/${definition.attribute}/${entity.group}`;
  return {
    candidates: definition.values.map((candidate) => ` ${candidate}`),
    gold: value === undefined ? null : ` ${value}`,
    placebo:
      value === undefined
        ? ` ${new Draw(table.seed, name, position).pick(definition.values)}`
        : null,
  };
}

function unknownAttribute(given: string, types: readonly EntityType[]): ConfigError {
  const names = types.flatMap((type) => attributes[type].map(({ attribute }) => attribute));
  return new ConfigError({
    code: "ATTRIBUTE_UNKNOWN",
    message: `no attribute ${JSON.stringify(given)}; there are ${names.join(", ")}`,
    fix: "give one of these, or leave it out",
  });
}
