import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { TextBuilder } from "../text-builder.ts";
import { passagesOf, type ProseDocument } from "./passages.ts";

/** Options of {@link prose}. */
export interface ProseOptions {
  readonly seed: number;
  /** The texts; {@link parseProse} reads them from a file's text. */
  readonly documents: readonly ProseDocument[];
}

/** A world of given texts: {@link World.document} goes round its passages. */
export interface ProseWorld extends World {
  /** Passages of an epoch. */
  readonly passages: number;
}

/**
 * Real prose as a world: texts are cut into passages of 300 to 1,500 characters, and each epoch of `passages` indexes shows every
 * passage once, in an order that is drawn anew. Spans: `paragraph`. Labels: `source`, `licence`, `passage`.
 *
 * @throws ConfigError PROSE_EMPTY where there is no passage; WORLD_OPTIONS.
 */
export function prose(options: ProseOptions): ProseWorld {
  const seed = parseOptions(seedSchema, options.seed, "prose: seed");
  const passages = passagesOf(options.documents);
  const count = passages.length;
  if (count === 0)
    throw new ConfigError({
      code: "PROSE_EMPTY",
      message: `${options.documents.length} texts gave no passage to read`,
      fix: "give at least one text that is not empty; node tools/prose.mjs writes .cache/prose.jsonl",
    });
  const identity = Array.from({ length: count }, (_, index) => index);
  // The order of the epoch last asked for: neighbours ask for the same one.
  let epochKept = -1;
  let order: readonly number[] = [];
  return {
    name: "prose",
    seed,
    passages: count,
    document(index: number): WorldDocument {
      const epoch = Math.floor(index / count);
      if (epoch !== epochKept) {
        order = new Draw(seed, "prose-order", epoch).shuffle(identity);
        epochKept = epoch;
      }
      const passage = passages[order[index - epoch * count] ?? 0];
      const builder = new TextBuilder();
      for (const [place, paragraph] of (passage?.paragraphs ?? []).entries()) {
        if (place > 0) builder.add("\n\n");
        builder.label(paragraph, "paragraph", { index: place });
      }
      return {
        id: `prose/${index}`,
        world: "prose",
        turns: null,
        labels: {
          source: passage?.source ?? "",
          licence: passage?.licence ?? "",
          passage: passage?.id ?? "",
        },
        ...builder.finish(),
      };
    },
  };
}

const documentSchema = z.object({
  id: z.string().min(1),
  source: z.string().min(1),
  licence: z.string().min(1),
  text: z.string(),
});

/**
 * Texts from JSON lines, one `{ id, source, licence, text }` a line.
 *
 * @throws ConfigError PROSE_LINE for a line that is something else, with its number.
 */
export function parseProse(lines: string): ProseDocument[] {
  const documents: ProseDocument[] = [];
  for (const [index, line] of lines.split("\n").entries()) {
    if (line.trim() !== "") documents.push(parseLine(line, index + 1));
  }
  return documents;
}

function parseLine(line: string, number: number): ProseDocument {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw badLine(number, "it is no JSON", error);
  }
  const parsed = documentSchema.safeParse(value);
  if (!parsed.success) throw badLine(number, z.prettifyError(parsed.error), parsed.error);
  return parsed.data;
}

function badLine(number: number, problem: string, cause: unknown): ConfigError {
  return new ConfigError({
    code: "PROSE_LINE",
    message: `line ${number} of the prose is no { id, source, licence, text }: ${problem}`,
    fix: "write the file with node tools/prose.mjs",
    cause,
  });
}
