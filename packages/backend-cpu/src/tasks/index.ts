// All tasks. The helper threads run this very table: its order is the same on both sides, since both are built together.
import { internalFault } from "@latentkit/core";
import { attentionGradientTasks } from "./attention-gradient.ts";
import { attentionTasks } from "./attention.ts";
import { batchTopKTasks } from "./batch-top-k.ts";
import { broadcastTasks } from "./broadcast.ts";
import { elementwiseTasks } from "./elementwise.ts";
import { indexingTasks } from "./indexing.ts";
import { matmulTasks } from "./matmul.ts";
import { memoryTasks } from "./memory.ts";
import { normaliseTasks } from "./normalise.ts";
import { optimiseTasks } from "./optimise.ts";
import { positionTasks } from "./position.ts";
import { reduceTasks } from "./reduce.ts";
import { storedTasks } from "./stored.ts";
import { sparseTasks } from "./sparse.ts";
import { sparseProductTasks } from "./sparse-products.ts";
import { randomTasks } from "./random.ts";
import { sortTasks } from "./sort.ts";
import type { Task } from "./task.ts";

const table = {
  ...attentionGradientTasks,
  ...attentionTasks,
  ...batchTopKTasks,
  ...broadcastTasks,
  ...elementwiseTasks,
  ...indexingTasks,
  ...matmulTasks,
  ...memoryTasks,
  ...normaliseTasks,
  ...optimiseTasks,
  ...positionTasks,
  ...randomTasks,
  ...reduceTasks,
  ...storedTasks,
  ...sparseTasks,
  ...sparseProductTasks,
  ...sortTasks,
} as const;

export type TaskName = keyof typeof table;

const names = Object.keys(table) as TaskName[]; // the keys of a literal
const byNumber: readonly Task[] = Object.values(table);
const numbers: ReadonlyMap<string, number> = new Map(names.map((name, index) => [name, index]));

/** A task's number in the table. */
export function taskNumber(name: TaskName): number {
  return numbers.get(name) ?? -1;
}

/** The task of a number. */
export function taskOf(number: number): Task {
  const task = byNumber[number];
  if (task === undefined) throw internalFault(`there is no task ${number}`);
  return task;
}
