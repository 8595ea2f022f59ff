import type { LanguageModel } from "@latentkit/models";
import { crossEntropy, type Device, mul, type Tensor } from "@latentkit/tensor";
import type { TrainingContext } from "./contexts.ts";

/** Targets that count. */
export function countTargets(contexts: readonly TrainingContext[]): number {
  let count = 0;
  for (const { targets } of contexts) for (const target of targets) count += target >= 0 ? 1 : 0;
  return count;
}

/**
 * `scale` times the sum of the contexts' cross entropies in nats, of shape []. Differentiable on the model's parameters.
 *
 * @param zLoss coefficient of `logsumexp(logits)^2`, added for each target
 */
export function summedLoss(
  model: LanguageModel,
  contexts: readonly TrainingContext[],
  { scale, zLoss = 0 }: { readonly scale: number; readonly zLoss?: number },
): Tensor {
  const { device } = model;
  return device.scope(() => {
    const { logits } = model.run(contexts.map(({ inputs }) => inputs));
    const targets = targetsOf(device, contexts);
    // A run gives logits unless it was told not to.
    const rows = (logits as Tensor).reshape([targets.size, model.config.vocabulary]);
    logits?.dispose();
    return mul(crossEntropy(rows, targets, { reduction: "sum", zLoss }), scale);
  });
}

/**
 * Mean cross entropy in nats over all targets of the contexts, without gradients.
 *
 * @param atOnce contexts in one pass
 */
export async function meanLoss(
  model: LanguageModel,
  contexts: readonly TrainingContext[],
  atOnce: number,
): Promise<number> {
  let sum = 0;
  for (let start = 0; start < contexts.length; start += atOnce) {
    using loss = summedLoss(model, contexts.slice(start, start + atOnce), { scale: 1 });
    sum += await loss.item();
  }
  return sum / countTargets(contexts);
}

function targetsOf(device: Device, contexts: readonly TrainingContext[]): Tensor {
  const length = contexts[0]?.targets.length ?? 0;
  const all = new Int32Array(contexts.length * length);
  for (const [row, { targets }] of contexts.entries()) all.set(targets, row * length);
  return device.tensor(all, [all.length]);
}
