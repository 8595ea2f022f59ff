import { FormatError } from "@latentkit/core";
import { deepseekR1, attentionSaes, goodfire, qwenScope } from "./torch-files.ts";
import { dictionaryLearning } from "./dictionary-learning.ts";
import type { FormatOptions, SaeFiles, SaeFormat, SaePlan } from "./format.ts";
import { gemmaScope2 } from "./gemma-scope-2.ts";
import { gemmaScope } from "./gemma-scope.ts";
import { llamaScope } from "./llama-scope.ts";
import { mwhannaTranscoder } from "./mwhanna-transcoder.ts";
import { saeLens } from "./saelens.ts";
import { sparsify } from "./sparsify.ts";

/** In the order in which they are tried: those with a configuration, which knows most, come first. */
const formats: readonly SaeFormat[] = [
  saeLens,
  sparsify,
  gemmaScope,
  gemmaScope2,
  llamaScope,
  dictionaryLearning,
  mwhannaTranscoder,
  goodfire,
  deepseekR1,
  attentionSaes,
  qwenScope,
];

/** How many names a message lists. */
const shownNames = 12;

/**
 * Finds out of which format the files are, and reads their configuration and tensor table. The caller closes the plan.
 *
 * @throws FormatError `SAE_FORMAT_UNKNOWN` with what there is and what each format needs; and as the format says
 */
export async function openSaeFiles(files: SaeFiles, options: FormatOptions): Promise<SaePlan> {
  for (const format of formats) {
    // eslint-disable-next-line no-await-in-loop -- the first that recognises its files wins
    const plan = await format.open(files, options);
    if (plan !== null) return plan;
  }
  throw unknownFormat(files);
}

function unknownFormat({ where, file, names }: SaeFiles): FormatError {
  const more = (names?.length ?? 0) - shownNames;
  const found =
    file !== null
      ? `"${file}"`
      : names === null
        ? "a folder that cannot be listed"
        : names.length === 0
          ? "no file"
          : `${names.slice(0, shownNames).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  return new FormatError({
    code: "SAE_FORMAT_UNKNOWN",
    message: `this is no SAE of a format that is read: found ${found}. Needed: ${formats.map(({ name, needs }) => `${needs} (${name})`).join("; ")}`,
    fix: "give the folder or the file of one SAE",
    where,
  });
}
