import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { DialogueBuilder } from "./dialogue-builder.ts";
import { makeInstruction } from "./make-instruction.ts";
import { type Instruction, type InstructionKind, instructionKinds } from "./tasks.ts";

/** Options of {@link instructions}. */
export interface InstructionsOptions {
  readonly seed: number;
  /** Default: all twelve. */
  readonly kinds?: readonly InstructionKind[] | undefined;
}

/** Options of {@link instructionTasks}. */
export interface InstructionTasksOptions extends InstructionsOptions {
  /** Tasks of each kind. */
  readonly count: number;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  kinds: z.array(z.enum(instructionKinds)).min(1).optional(),
});

const tasksSchema = optionsSchema.extend({ count: z.int().nonnegative() });

/**
 * Dialogues of one to three simple instructions, each followed as asked; `checkInstruction` accepts every reply.
 *
 * Spans: `instruction` and `reply`, with the `kind` of the task.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function instructions(options: InstructionsOptions): World {
  const { seed, kinds = instructionKinds } = parseOptions(optionsSchema, options, "instructions");
  return {
    name: "instructions",
    seed,
    document(index: number): WorldDocument {
      const draw = new Draw(seed, "instructions", index);
      const builder = new DialogueBuilder();
      const count = draw.integer(1, 3);
      for (let number = 0; number < count; number++) {
        const kind = draw.pick(kinds);
        const { prompt, reply } = makeInstruction(kind, draw);
        builder.turn("user", (text) => void text.label(prompt, "instruction", { kind }));
        builder.turn("assistant", (text) => void text.label(reply, "reply", { kind }));
      }
      return {
        id: `instructions/${index}`,
        world: "instructions",
        ...builder.finish(),
        labels: { instructions: count },
      };
    },
  };
}

/**
 * Tasks for evaluation: `count` of each kind, worded as in the world but drawn independently of its documents.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function instructionTasks(options: InstructionTasksOptions): Instruction[] {
  const {
    seed,
    kinds = instructionKinds,
    count,
  } = parseOptions(tasksSchema, options, "instructionTasks");
  return kinds.flatMap((kind) => {
    const draw = new Draw(seed, `instruction-tasks/${kind}`);
    return Array.from({ length: count }, () => makeInstruction(kind, draw));
  });
}
