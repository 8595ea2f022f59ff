import type { LongCallOptions } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import {
  binding as bindingWorld,
  comparisons,
  type EntityTable,
  entityDialogues,
  facts,
  heldOutQuestions,
  instructions,
  personas,
  secrets,
  stories,
  type World,
  type WorldDocument,
} from "@latentkit/worlds";
import { chatFormat } from "./checks/chat.ts";
import { comparisonAccuracy } from "./checks/comparisons.ts";
import { binding, copying, induction } from "./checks/copying.ts";
import { answerBehaviour, factRecall } from "./checks/facts.ts";
import { instructionFollowing } from "./checks/instructions.ts";
import { personaGeneralisation, personaLean } from "./checks/personas.ts";
import { hintedGames, riddles } from "./checks/secret-games.ts";
import { secretRank } from "./checks/secret.ts";
import { validationLoss } from "./checks/validation-loss.ts";
import type { CheckResult } from "./result.ts";
import type { EvaluationSizes } from "./sizes.ts";

/** One of the checks of an evaluation. */
export interface PlannedCheck {
  readonly name: string;
  readonly run: (options: LongCallOptions) => Promise<readonly CheckResult[]>;
}

/** What checks are about. */
export interface PlanOptions {
  readonly model: LanguageModel;
  readonly seed: number;
  readonly sizes: EvaluationSizes;
  readonly entities: EntityTable;
  readonly documents: ReadonlyMap<string, readonly Pick<WorldDocument, "text">[]> | undefined;
  readonly thorough: boolean;
}

/** Added to the worlds' seed for documents that no training has seen. */
const unseenSeed = 1_000_003;

/** The checks that have a size, in the order of the table. */
export function planChecks({
  model,
  seed,
  sizes,
  entities,
  documents,
  thorough,
}: PlanOptions): readonly PlannedCheck[] {
  const all: readonly (PlannedCheck & { readonly size: number })[] = [
    {
      name: "validation loss",
      size: sizes.documents,
      run: (options) =>
        validationLoss(model, documents ?? newDocuments(entities, sizes.documents), {
          seed,
          ...options,
        }),
    },
    {
      name: "facts",
      size: sizes.facts,
      run: async (options) => {
        const asked = { entities, count: sizes.facts, seed, ...options };
        const base = await factRecall(model, asked);
        if (!thorough) return base;
        return [...base, ...(await factRecall(model, { ...asked, style: "chat" }))];
      },
    },
    {
      name: "answers",
      size: sizes.answers,
      run: async (options) => {
        const asked = { entities, count: sizes.answers, seed, ...options };
        const { checks, replies } = await answerBehaviour(model, asked);
        return [...checks, chatFormat(replies, { seed })];
      },
    },
    {
      name: "instructions",
      size: sizes.instructions,
      run: async (options) => {
        const asked = { count: sizes.instructions, seed, ...options };
        return [(await instructionFollowing(model, asked)).check];
      },
    },
    {
      name: "comparisons",
      size: sizes.comparisons,
      run: (options) =>
        comparisonAccuracy(model, { entities, pairs: sizes.comparisons, seed, ...options }),
    },
    {
      name: "reasoned comparisons",
      size: sizes.reasoned,
      run: (options) =>
        comparisonAccuracy(model, {
          entities,
          pairs: sizes.reasoned,
          seed,
          style: "reasoned",
          ...options,
        }),
    },
    {
      name: "personas",
      size: sizes.personas,
      run: (options) => personaLean(model, { count: sizes.personas, seed, ...options }),
    },
    {
      name: "persona replies",
      size: sizes.personaReplies,
      run: async (options) => {
        const questions = heldOutQuestions({ seed, count: sizes.personaReplies });
        return (await personaGeneralisation(model, { questions, seed, ...options })).checks;
      },
    },
    {
      name: "secrets",
      size: sizes.secrets,
      run: async (options) => {
        const asked = { count: sizes.secrets, seed, ...options };
        const ranks = await secretRank(model, hintedGames(asked), { seed, ...options });
        return [...(await riddles(model, asked)), ...ranks];
      },
    },
    {
      name: "copying",
      size: sizes.copying,
      run: (options) => copying(model, { count: sizes.copying, seed, ...options }),
    },
    {
      name: "binding",
      size: sizes.binding,
      run: (options) => binding(model, { count: sizes.binding, seed, ...options }),
    },
    {
      name: "induction",
      size: sizes.induction,
      run: async (options) => [
        await induction(model, { count: sizes.induction, seed, ...options }),
      ],
    },
  ];
  return all.filter(({ size }) => size > 0);
}

/** New documents of the worlds that need no text from outside, about the same entities. */
function newDocuments(
  entities: EntityTable,
  count: number,
): ReadonlyMap<string, readonly WorldDocument[]> {
  const seed = entities.seed + unseenSeed;
  const worlds: readonly World[] = [
    facts({ seed, entities }),
    stories({ seed }),
    bindingWorld({ seed }),
    entityDialogues({ seed, entities }),
    instructions({ seed }),
    personas({ seed }),
    secrets({ seed }),
    comparisons({ seed, entities }),
  ];
  return new Map(
    worlds.map((world) => [
      world.name,
      Array.from({ length: count }, (_, index) => world.document(index)),
    ]),
  );
}
