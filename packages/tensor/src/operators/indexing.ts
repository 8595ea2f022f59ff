import { DTypeError, formatShape, type Shape, sizeOf } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import type { AxisPlan } from "../backend.ts";
import {
  floats,
  integers,
  requireRank,
  requireShape,
  requireValue,
  resolveAxis,
  sameDevice,
  shapeError,
} from "../checks.ts";
import { StoredWeight } from "../stored-weight.ts";
import type { Tensor } from "../tensor.ts";
import { type Indices, withIndices } from "./indices.ts";
import { clone } from "./layout.ts";
import { embeddingStored } from "./stored.ts";

/**
 * Rows of a table by id: table [rows, columns] of f32, f16 or bf16, ids i32 of any shape (or numbers on the host, which are
 * checked); result f32 [...ids.shape, columns], `out[r] = table[ids[r]]`. An id without a row gives NaN.
 *
 * The gradient to an f32 table is the sum over ids, in their order: `dTable[id] = sum of dOut[r] with ids[r] = id`. Tables of f16
 * and bf16 have none, and neither has a {@link StoredWeight}, whose rows are decoded as they are picked.
 */
export function embedding(table: Tensor | StoredWeight, ids: Indices): Tensor {
  if (table instanceof StoredWeight) return embeddingStored(table, ids);
  const tableSlice = table.slice;
  if (table.dtype === "i32" || table.dtype === "u8") {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `embedding got a table of dtype ${table.dtype} and shape ${formatShape(table.shape)}, expected f32, f16 or bf16`,
      fix: "make the table from floats",
    });
  }
  requireRank("embedding", "table", table.shape, 2, "[rows, columns]");
  const [tableRows = 0, columns = 0] = table.shape;
  return withIndices("embedding", table.device, ids, tableRows, (picks) => {
    sameDevice("embedding", table, picks);
    if (tableRows === 0 && picks.size > 0) {
      throw shapeError(
        "embedding",
        `table of shape ${formatShape(table.shape)} and ids of shape ${formatShape(picks.shape)}`,
        "give a table with rows",
      );
    }
    const out = table.device.empty([...picks.shape, columns]);
    if (out.size > 0)
      table.device.backend.kernels.embedding(
        tableSlice,
        picks.slice,
        picks.size,
        columns,
        out.slice,
      );
    if (table.dtype !== "f32") return out;
    return differentiable(out, {
      operator: "embedding",
      inputs: [table],
      saved: [picks],
      rule: (gradient, { saved: [savedPicks = picks] }) => {
        const plan = { outer: 1, axis: tableRows, inner: columns, picks: savedPicks.size };
        return [addedToZeros("indexAdd", gradient, savedPicks, plan, table.shape)];
      },
    });
  });
}

/**
 * Elements along an axis by index, as `torch.index_select`: `out[.., p, ..] = x[.., ids[p], ..]`, ids i32 of one axis, or numbers on
 * the host, which are checked. Any dtype. The gradient is {@link indexAdd} into zeros.
 */
export function take(x: Tensor, ids: Indices, options: { readonly axis: number }): Tensor {
  const input = x.slice;
  const axis = resolveAxis("take", x.shape, options.axis);
  return withIndices("take", x.device, ids, x.shape[axis] ?? 0, (picks) => {
    sameDevice("take", x, picks);
    requireRank("take", "ids", picks.shape, 1, "[picks]");
    const plan = planOf(x.shape, axis, picks.size);
    const out = x.device.empty(x.shape.with(axis, picks.size), x.dtype);
    if (out.size > 0) x.device.backend.kernels.indexSelect(input, picks.slice, plan, out.slice);
    return differentiable(out, {
      operator: "take",
      inputs: [x],
      saved: [picks],
      rule: (gradient, { saved: [savedPicks = picks] }) => [
        addedToZeros("indexAdd", gradient, savedPicks, plan, x.shape),
      ],
    });
  });
}

/**
 * `x` with rows added to it, as `torch.index_add`: `out = x` and then `out[.., ids[p], ..] += updates[.., p, ..]` for each p in order,
 * so that repeated ids add up the same way each time. f32; ids i32 of one axis, or numbers on the host, which are checked.
 *
 * Gradients: to `x` the gradient itself, to `updates` the rows of it that `ids` name.
 */
export function indexAdd(
  x: Tensor,
  ids: Indices,
  updates: Tensor,
  options: { readonly axis: number },
): Tensor {
  const added = floats("indexAdd", updates, "updates");
  floats("indexAdd", x);
  sameDevice("indexAdd", x, updates);
  const axis = resolveAxis("indexAdd", x.shape, options.axis);
  return withIndices("indexAdd", x.device, ids, x.shape[axis] ?? 0, (picks) => {
    sameDevice("indexAdd", x, picks);
    requireRank("indexAdd", "ids", picks.shape, 1, "[picks]");
    requireShape(
      "indexAdd",
      "updates",
      updates.shape,
      x.shape.with(axis, picks.size),
      `to add along axis ${axis} of x of shape ${formatShape(x.shape)} by ids of shape ${formatShape(picks.shape)}`,
    );
    const out = copyOf(x);
    if (x.size > 0 && updates.size > 0)
      x.device.backend.kernels.indexAdd(
        added,
        picks.slice,
        planOf(x.shape, axis, picks.size),
        out.slice,
      );
    return differentiable(out, {
      operator: "indexAdd",
      inputs: [x, updates],
      saved: [picks],
      rule: (gradient, { saved: [savedPicks = picks], needs }) => [
        gradient,
        needs[1] === true ? take(gradient, savedPicks, { axis }) : null,
      ],
    });
  });
}

/**
 * Elements along an axis, one index for each, as `torch.gather`: along axis 1 of three, `out[o, p, i] = x[o, indices[o, p, i], i]`.
 * `x` of any dtype; indices i32 with the shape of `x` but along the axis. The gradient is {@link scatterAdd} into zeros.
 */
export function gather(x: Tensor, indices: Tensor, options: { readonly axis: number }): Tensor {
  const [input, picks] = [x.slice, integers("gather", indices, "indices")];
  sameDevice("gather", x, indices);
  const axis = resolveAxis("gather", x.shape, options.axis);
  const plan = planAlong("gather", x, indices, axis);
  const out = x.device.empty(indices.shape, x.dtype);
  if (out.size > 0) x.device.backend.kernels.gatherAxis(input, picks, plan, out.slice);
  return differentiable(out, {
    operator: "gather",
    inputs: [x],
    saved: [indices],
    rule: (gradient, { saved: [savedIndices = indices] }) => [
      addedToZeros("scatterAddAxis", gradient, savedIndices, plan, x.shape),
    ],
  });
}

/**
 * `x` with elements added to it, one index for each, as `torch.scatter_add`: `out = x` and then, along axis 1 of three,
 * `out[o, indices[o, p, i], i] += updates[o, p, i]` in ascending order of p, so that repeated indices add up the same way each
 * time. f32; indices i32 with the shape of `x` but along the axis; updates of the indices' shape.
 *
 * Gradients: to `x` the gradient itself, to `updates` what {@link gather} finds there.
 */
export function scatterAdd(
  x: Tensor,
  indices: Tensor,
  updates: Tensor,
  options: { readonly axis: number },
): Tensor {
  const [added, picks] = [
    floats("scatterAdd", updates, "updates"),
    integers("scatterAdd", indices, "indices"),
  ];
  floats("scatterAdd", x);
  sameDevice("scatterAdd", x, indices);
  sameDevice("scatterAdd", x, updates);
  const axis = resolveAxis("scatterAdd", x.shape, options.axis);
  const plan = planAlong("scatterAdd", x, indices, axis);
  requireShape("scatterAdd", "updates", updates.shape, indices.shape, "as the indices have");
  const out = copyOf(x);
  if (x.size > 0 && updates.size > 0)
    x.device.backend.kernels.scatterAddAxis(added, picks, plan, out.slice);
  return differentiable(out, {
    operator: "scatterAdd",
    inputs: [x, updates],
    saved: [indices],
    rule: (gradient, { saved: [savedIndices = indices], needs }) => [
      gradient,
      needs[1] === true ? gather(gradient, savedIndices, { axis }) : null,
    ],
  });
}

/**
 * A row of `width` for each index, 1 at the index and 0 elsewhere: f32 [...indices.shape, width]. Indices i32 of any
 * shape; one outside of 0 .. width - 1 gives a row of zeros. It has no gradient.
 */
export function oneHot(indices: Tensor, width: number): Tensor {
  const picks = integers("oneHot", indices, "indices");
  requireValue(
    Number.isInteger(width) && width >= 0,
    "oneHot",
    "width",
    width,
    "an integer of 0 or more",
  );
  const out = indices.device.empty([...indices.shape, width]);
  if (out.size > 0) indices.device.backend.kernels.oneHot(picks, width, out.slice);
  return out;
}

/** The sum of `updates` by index in a new f32 tensor of `shape`: the gradient of reading by index. @internal */
export function addedToZeros(
  kernel: "indexAdd" | "scatterAddAxis",
  updates: Tensor,
  indices: Tensor,
  plan: AxisPlan,
  shape: Shape,
): Tensor {
  const out = updates.device.zeros(shape);
  if (out.size > 0 && updates.size > 0)
    updates.device.backend.kernels[kernel](updates.slice, indices.slice, plan, out.slice);
  return out;
}

/** Without a record: the copy is changed before it is given out. */
function copyOf(x: Tensor): Tensor {
  return x.device.withTape(null, () => clone(x));
}

function planAlong(operator: string, x: Tensor, indices: Tensor, axis: number): AxisPlan {
  const picks = indices.shape[axis] ?? 0;
  requireShape(
    operator,
    "indices",
    indices.shape,
    x.shape.with(axis, picks),
    `to index axis ${axis} of x of shape ${formatShape(x.shape)}`,
  );
  return planOf(x.shape, axis, picks);
}

/** A shape as `[outer, axis, inner]`. @internal */
export function planOf(shape: Shape, axis: number, picks: number): AxisPlan {
  return {
    outer: sizeOf(shape.slice(0, axis)),
    axis: shape[axis] ?? 1,
    inner: sizeOf(shape.slice(axis + 1)),
    picks,
  };
}
