import { createHash } from "node:crypto";
import { Random } from "@latentkit/core";
import type { NormGradientPlan, Slice } from "@latentkit/tensor";
import { afterEach, describe, expect, it } from "vitest";
import { type CpuBackend, createCpuBackend } from "../backend.ts";

const opened: CpuBackend[] = [];
afterEach(() => {
  for (const backend of opened.splice(0)) backend.dispose();
});

async function open(threads: number): Promise<CpuBackend> {
  const backend = await createCpuBackend({ library: null, threads });
  opened.push(backend);
  return backend;
}

/** More rows than a part of a weight's gradient has, and columns that no vector divides. */
const [rows, columns] = [1009, 517];

describe("norms, softmax and losses on several threads", () => {
  it.each([2, 3])("give the same bits on %i threads as on one", async (threads) => {
    const [one, several] = [await open(1), await open(threads)];
    await warmUp(several);
    const [expected, actual] = [await results(one), await results(several)];
    // By hashes: comparing millions of elements one by one takes seconds.
    expect(Object.fromEntries(actual)).toEqual(Object.fromEntries(expected));
    expect(new Set(expected.values()).size).toBe(expected.size);
  });
});

/** Helpers need a moment to start; until then the caller does all the work. */
async function warmUp(backend: CpuBackend): Promise<void> {
  const out = room(backend, 64 * 1024);
  backend.kernels.fill(out, 1);
  for (let round = 0; round < 20; round++) {
    backend.kernels.softmaxRows(out, 64, 1024, out);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A hash of everything that kernels of this family write, by name. */
async function results(backend: CpuBackend): Promise<Map<string, string>> {
  const { kernels } = backend;
  const random = new Random(7);
  const normal = (length: number): Slice => {
    const slice = room(backend, length);
    backend.write(slice, new Uint8Array(random.fillNormal(new Float32Array(length), 1).buffer));
    return slice;
  };
  const [x, gradient] = [normal(rows * columns), normal(rows * columns)];
  const [weight, bias, rowGradient] = [normal(columns), normal(columns), normal(rows)];
  const targets = { ...room(backend, rows), dtype: "i32" } as const;
  const classes = Int32Array.from({ length: rows }, () => random.integer(columns));
  backend.write(targets, new Uint8Array(classes.buffer));
  const full = (): Slice => room(backend, rows * columns);
  const made = {
    rms: full(),
    layer: full(),
    mean: room(backend, rows),
    scale: room(backend, rows),
    dX: full(),
    dWeight: room(backend, columns),
    dBias: room(backend, columns),
    softmax: full(),
    softmaxGradient: full(),
    logSoftmax: full(),
    logSoftmaxGradient: full(),
    loss: room(backend, rows),
    statistics: room(backend, 2 * rows),
    dLogits: full(),
    turned: full(),
  };
  kernels.rmsNorm(x, weight, rows, columns, 1e-5, made.rms, null);
  kernels.layerNorm(x, weight, bias, rows, columns, 1e-5, made.layer, made.mean, made.scale);
  const plan: NormGradientPlan = {
    rows,
    columns,
    x,
    mean: made.mean,
    scale: made.scale,
    weight,
    gradient,
    scaleGradient: rowGradient,
  };
  kernels.normGradient(plan, made.dX, made.dWeight, made.dBias);
  kernels.softmaxRows(x, rows, columns, made.softmax);
  kernels.softmaxGradientRows(made.softmax, gradient, rows, columns, made.softmaxGradient);
  kernels.logSoftmaxRows(x, rows, columns, made.logSoftmax);
  kernels.logSoftmaxGradientRows(made.logSoftmax, gradient, rows, columns, made.logSoftmaxGradient);
  const entropy = { rows, columns, ignoreIndex: 3, labelSmoothing: 0.1, zLoss: 1e-3 };
  kernels.crossEntropyRows(x, targets, entropy, made.loss, made.statistics);
  kernels.crossEntropyGradientRows(x, targets, made.statistics, rowGradient, entropy, made.dLogits);
  const turn = { tokens: rows, heads: 11, dHead: 47, dRotary: 40, positions: columns };
  const [cos, sin] = [normal(columns * 20), normal(columns * 20)];
  kernels.rope(
    x,
    cos,
    sin,
    targets,
    { ...turn, interleaved: false, transposed: false },
    made.turned,
  );
  const hashes = new Map<string, string>();
  for (const [name, slice] of Object.entries(made)) {
    // Rows whose target is ignored leave the statistics as they were.
    if (name === "statistics") continue;
    const bytes = await backend.read(slice);
    hashes.set(name, createHash("sha256").update(bytes).digest("hex"));
  }
  return hashes;
}

function room(backend: CpuBackend, length: number): Slice {
  return { storage: backend.allocate(length * 4), offset: 0, length, dtype: "f32" };
}
