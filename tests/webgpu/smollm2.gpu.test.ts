// The shared real model on WebGPU: its logits beside the CPU's, which `smollm2.model.test.ts` holds to transformers'.
import { join } from "node:path";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { openWebGpuDevice } from "@latentkit/backend-webgpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import { loadModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { reasonToSkip } from "../support/webgpu.ts";

const folder = process.env["LATENTKIT_MODELS"];
const file = "SmolLM2-135M-Instruct.Q4_1.gguf";
// Without the model this is a failure where it has to be there (CI), else a skip that says so.
const missing = folder === undefined && process.env["CI"] !== "true";
if (missing)
  process.stderr.write(
    `smollm2.gpu.test.ts is skipped: LATENTKIT_MODELS does not name the folder of ${file}\n`,
  );
const skip = await reasonToSkip();

/** Of a logit, as a part of the standard deviation of all: what models have to keep to transformers. */
const maximumDeviation = 1e-3;
/** Nats between the distributions of the next token. */
const maximumKl = 1e-6;
const text = "The Seine flows through Paris, the capital of France, and then on to the sea.";

async function logitsOn(device: Device): Promise<{
  readonly logits: Float32Array;
  readonly width: number;
  readonly tokens: number;
}> {
  const checkpoint = await openCheckpoint(join(folder ?? "", file));
  const model = await loadModel(checkpoint, { device });
  await checkpoint.close();
  try {
    const ids = [...(model.tokenizer?.encode(text).ids ?? [])];
    using result = model.run([ids]);
    const logits = (await result.logits?.floats()) ?? new Float32Array();
    return { logits, width: model.config.vocabulary, tokens: ids.length };
  } finally {
    model.dispose();
    expect(device.memory().liveBytes).toBe(0);
    device.dispose();
  }
}

function logProbabilities(row: Float32Array): Float64Array {
  const top = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const total = row.reduce((sum, value) => sum + Math.exp(value - top), 0);
  return Float64Array.from(row, (value) => value - top - Math.log(total));
}

describe.skipIf(missing || skip !== null)("SmolLM2-135M-Instruct on WebGPU", () => {
  // Seconds on a GPU, and about 20 seconds of a processor on Mesa's software driver, which on a shared machine may be minutes.
  it("gives the CPU's logits", { timeout: 600_000 }, async () => {
    const expected = await logitsOn(await openCpuDevice());
    const { logits, width, tokens } = await logitsOn(await openWebGpuDevice());
    expect(tokens).toBeGreaterThanOrEqual(16);
    expect(logits).toHaveLength(tokens * width);
    expect(expected.logits).toHaveLength(tokens * width);
    const mean = expected.logits.reduce((sum, value) => sum + value, 0) / expected.logits.length;
    const squares = expected.logits.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    const std = Math.sqrt(squares / expected.logits.length);
    for (let position = 0; position < tokens; position++) {
      const ours = logits.subarray(position * width, (position + 1) * width);
      const theirs = expected.logits.subarray(position * width, (position + 1) * width);
      const largest = ours.reduce(
        (most, value, token) => Math.max(most, Math.abs(value - (theirs[token] ?? Number.NaN))),
        0,
      );
      // NaN is no smaller than anything.
      expect(largest / std, `logits at ${position}`).toBeLessThan(maximumDeviation);
      const [p, q] = [logProbabilities(theirs), logProbabilities(ours)];
      const kl = p.reduce((sum, value, token) => {
        const other = q[token] ?? Number.NaN;
        return sum + Math.exp(value) * (value - other);
      }, 0);
      expect(Math.abs(kl), `divergence at ${position}`).toBeLessThan(maximumKl);
    }
  });
});
