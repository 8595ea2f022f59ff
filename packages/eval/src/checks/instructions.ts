import type { LanguageModel } from "@latentkit/models";
import { checkInstruction, instructionTasks } from "@latentkit/worlds";
import { openReply } from "../prompt.ts";
import type { CheckResult } from "../result.ts";
import { type ChatReply, chatReplies, shareOf } from "./chat.ts";
import type { ProbeCheckOptions } from "./copying.ts";

/**
 * How often greedy replies do what simple instructions ask, by an exact judge (`instructions/followed`), over `count` tasks of each of
 * the worlds' kinds. The replies are given too, for their format.
 */
export async function instructionFollowing(
  model: LanguageModel,
  { count, seed, signal, onProgress }: ProbeCheckOptions,
): Promise<{ readonly check: CheckResult; readonly replies: readonly ChatReply[] }> {
  const tasks = instructionTasks({ seed, count });
  const prompts = tasks.map(({ prompt }) => openReply([{ role: "user", content: prompt }]));
  const replies = await chatReplies(model, prompts, { maxTokens: 48, signal, onProgress });
  const followed = tasks.filter(({ task }, index) =>
    checkInstruction(task, replies[index]?.text ?? ""),
  ).length;
  return { check: shareOf("instructions/followed", followed, tasks.length, seed), replies };
}
