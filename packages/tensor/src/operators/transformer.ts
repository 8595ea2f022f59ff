import { DTypeError, formatShape, type Shape } from "@latentkit/core";
import {
  asNonEmptyRows,
  floats,
  integers,
  requireRank,
  requireValue,
  sameDevice,
  shapeError,
} from "../checks.ts";
import type { Device } from "../device.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Rows of a table by id: table [rows, columns] of f32, f16 or bf16, ids i32 of any shape; result f32 [...ids.shape, columns].
 * Ids are not read back, so they are not checked: they must lie in 0 .. rows - 1.
 */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  const [tableSlice, idSlice] = [table.slice, integers("embedding", ids, "ids")];
  if (table.dtype === "i32" || table.dtype === "u8") {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `embedding got a table of dtype ${table.dtype} and shape ${formatShape(table.shape)}, expected f32, f16 or bf16`,
      fix: "make the table from floats",
    });
  }
  sameDevice("embedding", table, ids);
  requireRank("embedding", "table", table.shape, 2, "[rows, columns]");
  const [tableRows = 0, columns = 0] = table.shape;
  if (tableRows === 0 && ids.size > 0) {
    throw shapeError(
      "embedding",
      `table of shape ${formatShape(table.shape)} and ids of shape ${formatShape(ids.shape)}`,
      "give a table with rows",
    );
  }
  const out = table.device.empty([...ids.shape, columns]);
  if (out.size > 0)
    table.device.backend.kernels.embedding(tableSlice, idSlice, ids.size, columns, out.slice);
  return out;
}

/** `x / sqrt(mean(x^2) + epsilon) * weight` over the last axis (Zhang and Sennrich, 2019); weight [columns] or null. */
export function rmsNorm(x: Tensor, weight: Tensor | null, epsilon: number): Tensor {
  const input = floats("rmsNorm", x);
  const { rows, columns } = asNonEmptyRows("rmsNorm", x);
  requireEpsilon(epsilon);
  const weightSlice = weight === null ? null : floats("rmsNorm", weight, "weight");
  if (weight !== null) {
    sameDevice("rmsNorm", x, weight);
    if (weight.shape.length !== 1 || weight.size !== columns) {
      throw shapeError(
        "rmsNorm",
        `x of shape ${formatShape(x.shape)} and weight of shape ${formatShape(weight.shape)}`,
        "give a weight as long as x's last axis",
      );
    }
  }
  const out = x.device.empty(x.shape);
  if (rows > 0)
    x.device.backend.kernels.rmsNorm(input, weightSlice, rows, columns, epsilon, out.slice, null);
  return out;
}

/**
 * The two halves of RMSNorm that hooks show: `scale = sqrt(mean(x^2) + epsilon)` of shape [..., 1] and `normalized = x / scale`,
 * before any weight.
 */
export function rmsNormWithScale(
  x: Tensor,
  epsilon: number,
): { normalized: Tensor; scale: Tensor } {
  const input = floats("rmsNormWithScale", x);
  const { rows, columns } = asNonEmptyRows("rmsNormWithScale", x);
  requireEpsilon(epsilon);
  return x.device.scope(() => {
    const normalized = x.device.empty(x.shape);
    const scale = x.device.empty([...x.shape.slice(0, -1), 1]);
    if (rows > 0)
      x.device.backend.kernels.rmsNorm(
        input,
        null,
        rows,
        columns,
        epsilon,
        normalized.slice,
        scale.slice,
      );
    return { normalized, scale };
  });
}

function requireEpsilon(epsilon: number): void {
  requireValue(
    epsilon >= 0 && Number.isFinite(epsilon),
    "rmsNorm",
    "epsilon",
    epsilon,
    "a number of at least 0",
  );
}

/**
 * Rotary position embedding (Su et al., 2021), pairs (i, i + dHead/2) as Hugging Face's `rotate_half` has them, in a new tensor.
 *
 * @param x [batch, position, heads, dHead]
 * @param cos and `sin`: [positions, dHead/2], from {@link ropeTables}
 * @param positions i32 with batch * position elements: each token's row in the tables. Not checked, since not read back.
 */
export function rope(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor): Tensor {
  const input = floats("rope", x);
  const [cosSlice, sinSlice, positionSlice] = [
    floats("rope", cos, "cos"),
    floats("rope", sin, "sin"),
    integers("rope", positions, "positions"),
  ];
  for (const other of [cos, sin, positions]) sameDevice("rope", x, other);
  requireRank("rope", "x", x.shape, 4, "[batch, position, heads, dHead]");
  const [batch = 0, length = 0, heads = 0, dHead = 0] = x.shape;
  const half = dHead / 2;
  const tablesFit =
    cos.shape.length === 2 &&
    cos.shape[1] === half &&
    sin.shape.length === 2 &&
    sin.shape[1] === half &&
    cos.shape[0] === sin.shape[0];
  if (!tablesFit) {
    throw shapeError(
      "rope",
      `x of shape ${formatShape(x.shape)}, cos of shape ${formatShape(cos.shape)} and sin of shape ${formatShape(sin.shape)}`,
      "give cos and sin of shape [positions, dHead / 2], with dHead even",
    );
  }
  if (positions.size !== batch * length) {
    throw shapeError(
      "rope",
      `x of shape ${formatShape(x.shape)} and positions of shape ${formatShape(positions.shape)}`,
      `give ${batch * length} positions`,
    );
  }
  const out = x.device.empty(x.shape);
  if (out.size === 0) return out;
  const { kernels } = x.device.backend;
  kernels.convert(input, out.slice);
  kernels.rope(out.slice, cosSlice, sinSlice, positionSlice, batch * length, heads, dHead);
  return out;
}

/** What {@link ropeTables} needs. */
export interface RopeTableOptions {
  /** Rotated features of a head; even. */
  readonly dRotary: number;
  /** `rope_theta` of the model's config, for example 10000. */
  readonly base: number;
  /** Number of positions, 0 .. positions - 1. */
  readonly positions: number;
  readonly device: Device;
}

/**
 * cos and sin of `position * base^(-2i / dRotary)`, each [positions, dRotary/2]. Angles are rounded to f32 step by step as
 * Hugging Face does, since its models were trained with those angles.
 */
export function ropeTables({ dRotary, base, positions, device }: RopeTableOptions): {
  cos: Tensor;
  sin: Tensor;
} {
  requireValue(
    Number.isInteger(dRotary) && dRotary >= 2 && dRotary % 2 === 0,
    "ropeTables",
    "dRotary",
    dRotary,
    "an even integer of at least 2",
  );
  requireValue(base > 0 && Number.isFinite(base), "ropeTables", "base", base, "a positive number");
  requireValue(
    Number.isInteger(positions) && positions >= 0,
    "ropeTables",
    "positions",
    positions,
    "a non-negative integer",
  );
  const half = dRotary / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let pair = 0; pair < half; pair++) {
    const frequency = Math.fround(1 / Math.fround(base ** Math.fround((2 * pair) / dRotary)));
    for (let position = 0; position < positions; position++) {
      const angle = Math.fround(position * frequency);
      cos[position * half + pair] = Math.cos(angle);
      sin[position * half + pair] = Math.sin(angle);
    }
  }
  return device.scope(() => ({
    cos: device.tensor(cos, [positions, half]),
    sin: device.tensor(sin, [positions, half]),
  }));
}

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Keys in use; all of `k` by default. A KV cache has room for more than it holds. */
  readonly kLength?: number | undefined;
  /** Factor of the scores, usually `1 / sqrt(dHead)`. */
  readonly scale: number;
}

/**
 * Causal attention with grouped queries: q [batch, qLength, heads, dHead], k and v [batch, kCapacity, kvHeads, dHead], result
 * [batch, qLength, heads, dHead]. Query row i sees keys 0 .. kLength - qLength + i; head h reads key head
 * `floor(h / (heads / kvHeads))`.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const [qSlice, kSlice, vSlice] = [
    floats("attention", q, "q"),
    floats("attention", k, "k"),
    floats("attention", v, "v"),
  ];
  sameDevice("attention", q, k);
  sameDevice("attention", q, v);
  const layout = "[batch, length, heads, dHead]";
  requireRank("attention", "q", q.shape, 4, layout);
  requireRank("attention", "k", k.shape, 4, layout);
  requireRank("attention", "v", v.shape, 4, layout);
  const [batch = 0, qLength = 0, heads = 0, dHead = 0] = q.shape;
  const [kBatch = 0, kCapacity = 0, kvHeads = 0, kHead = 0] = k.shape;
  const { scale, kLength = kCapacity } = options;
  const fits =
    kBatch === batch &&
    kHead === dHead &&
    kvHeads > 0 &&
    heads % kvHeads === 0 &&
    k.shape.every((size, axis) => v.shape[axis] === size);
  if (!fits) {
    throw shapeError(
      "attention",
      `q of shape ${formatShape(q.shape)}, k of shape ${formatShape(k.shape)} and v of shape ${formatShape(v.shape)}`,
      "give equal batch and dHead, equal k and v, and a number of heads that is a multiple of the key heads",
    );
  }
  if (!Number.isInteger(kLength) || kLength < qLength || kLength > kCapacity) {
    throw shapeError(
      "attention",
      `kLength ${kLength} for q of shape ${formatShape(q.shape)} and k of shape ${formatShape(k.shape)}`,
      "give a kLength between q's length and k's capacity",
    );
  }
  requireValue(Number.isFinite(scale), "attention", "scale", scale, "a finite number");
  const out = q.device.empty(q.shape);
  if (out.size > 0) {
    q.device.backend.kernels.attention(qSlice, kSlice, vSlice, out.slice, {
      batch,
      qLength,
      kLength,
      kCapacity,
      heads,
      kvHeads,
      dHead,
      scale,
    });
  }
  return out;
}

/** Softmax over the last axis. A row of only -infinity gives NaN. */
export function softmax(x: Tensor): Tensor {
  const input = floats("softmax", x);
  const { rows, columns } = asNonEmptyRows("softmax", x);
  const out = x.device.empty(x.shape);
  if (rows > 0) x.device.backend.kernels.softmaxRows(input, rows, columns, out.slice);
  return out;
}

/** Logarithm of the softmax over the last axis, in nats. */
export function logSoftmax(x: Tensor): Tensor {
  const input = floats("logSoftmax", x);
  const { rows, columns } = asNonEmptyRows("logSoftmax", x);
  const out = x.device.empty(x.shape);
  if (rows > 0) x.device.backend.kernels.logSoftmaxRows(input, rows, columns, out.slice);
  return out;
}

/**
 * Cross entropy in nats of each row: logits [n, vocabulary], targets i32 [n], result [n]. A negative target gives 0. Targets
 * are not read back, so they are not checked: they must be below the vocabulary's size.
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const [input, targetSlice] = [
    floats("crossEntropy", logits, "logits"),
    integers("crossEntropy", targets, "targets"),
  ];
  sameDevice("crossEntropy", logits, targets);
  const [rows = 0, columns = 0] = logits.shape;
  const expected: Shape = [rows];
  if (
    logits.shape.length !== 2 ||
    columns === 0 ||
    targets.shape.length !== 1 ||
    targets.shape[0] !== expected[0]
  ) {
    throw shapeError(
      "crossEntropy",
      `logits of shape ${formatShape(logits.shape)} and targets of shape ${formatShape(targets.shape)}`,
      "give logits [n, vocabulary] and targets [n]",
    );
  }
  const out = logits.device.empty(expected);
  if (rows > 0)
    logits.device.backend.kernels.crossEntropyRows(input, targetSlice, rows, columns, out.slice);
  return out;
}
