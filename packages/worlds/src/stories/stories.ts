import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { StoryWriter } from "./story-writer.ts";

/** Options of {@link stories}. */
export interface StoriesOptions {
  readonly seed: number;
}

const optionsSchema = z.strictObject({ seed: seedSchema });

/**
 * Little stories with chapters, paragraphs and sentences, over a state that holds together: who is where, who holds what, and who
 * knows where things are. Their spans are listed on the page of this world: `chapter`, `heading`, `paragraph`, `sentence`,
 * `knows`, `character`, `thing`, `place` and `word`.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function stories(options: StoriesOptions): World {
  const { seed } = parseOptions(optionsSchema, options, "stories");
  return {
    name: "stories",
    seed,
    document(index: number): WorldDocument {
      const { text, spans, labels } = new StoryWriter(new Draw(seed, "stories", index)).write();
      return { id: `stories/${index}`, world: "stories", text, turns: null, spans, labels };
    },
  };
}
