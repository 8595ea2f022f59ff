import { setTimeout } from "node:timers/promises";
import type { ActivationModel } from "../activation-model.ts";
import { sinkWord, wordId, wordTokenizer } from "./word-tokenizer.ts";

/**
 * What the fake model computes: a vector that tells token, previous token and position apart. Its norm is 150 at position 0, 50
 * at {@link sinkWord}, else 1.
 */
export function fakeActivation(tokens: readonly number[], position: number, dIn: number): Float32Array {
  const token = tokens[position] ?? 0;
  const before = tokens[position - 1] ?? 0;
  const row = Float32Array.from({ length: dIn }, (_, axis) => Math.sin(token * (axis + 1) + before * 0.37 + position * 0.11));
  const norm = Math.hypot(...row);
  const scale = position === 0 ? 150 : token === wordId(sinkWord) ? 50 : 1;
  return row.map((value) => (value / norm) * scale);
}

/** A model that needs no weights; `runs` counts its runs, `delay` milliseconds make it slow enough to kill. */
export function fakeModel({ dIn = 8, delay = 0, name = "fake", bos = null as number | null } = {}): ActivationModel & {
  runs: number;
  live: number;
} {
  return {
    runs: 0,
    live: 0,
    config: { contextSize: 64 },
    device: { info: { name: "fake", matmul: "none", threads: 1, build: "1" } },
    tokenizer: wordTokenizer({ bos }),
    identity: () => ({ name, architecture: "fake", weightsHash: `fake-${dIn}` }),
    site(site) {
      const pattern = site.endsWith("hook_pattern");
      return { name: site, width: dIn, shape: pattern ? ["batch", "head_index", "query_pos", "key_pos"] : ["batch", "pos", "d_model"] };
    },
    run(tokens, { capture }) {
      this.runs += 1;
      this.live += 1;
      const rows = tokens.flatMap((context) => context.map((_, position) => fakeActivation(context, position, dIn)));
      const data = new Float32Array(rows.length * dIn);
      for (const [index, row] of rows.entries()) data.set(row, index * dIn);
      const floats = async (): Promise<Float32Array> => {
        if (delay > 0) await setTimeout(delay);
        return data;
      };
      const dispose = (): void => {
        this.live -= 1;
      };
      return { captured: new Map(capture.map((site) => [site, { floats }])), dispose };
    },
  };
}
