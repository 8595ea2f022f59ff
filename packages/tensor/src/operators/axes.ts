import { formatShape, type Shape, ShapeError } from "@latentkit/core";
import { resolveAxis } from "../checks.ts";

/** A run of neighbouring axes, as kernels reduce it: the middle of [outer, size, inner]. */
export interface Block {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
}

/** The axes in ascending order, counted from 0; all where none are given. Throws {@link ShapeError} for wrong or repeated ones. */
export function resolveAxes(
  operator: string,
  shape: Shape,
  axis: number | readonly number[] | undefined,
): number[] {
  if (axis === undefined) return [...shape.keys()];
  const given = typeof axis === "number" ? [axis] : axis;
  const axes = given.map((each) => resolveAxis(operator, shape, each)).sort((a, b) => a - b);
  if (axes.length > 0 && new Set(axes).size === axes.length) return axes;
  throw new ShapeError({
    code: "SHAPE_AXIS",
    message: `${operator} got axes ${formatShape(given)} for shape ${formatShape(shape)}, expected at least one, each once`,
    fix: "name each axis once, or leave out `axis` for all of them",
  });
}

/** The shape with the given axes of size 1. */
export function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
}

/** The shape without the given axes. */
export function droppedShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.filter((_, axis) => !axes.includes(axis));
}

/**
 * The runs of neighbouring axes among `axes`, from the last to the first, each as it lies when those before it in the list are
 * reduced already. Axes of size 1 separate nothing; there is at least one block.
 */
export function reducedBlocks(shape: Shape, axes: readonly number[]): Block[] {
  const runs: { readonly reduced: boolean; size: number }[] = [];
  for (const [axis, size] of shape.entries()) {
    if (size === 1) continue;
    const reduced = axes.includes(axis);
    const last = runs.at(-1);
    if (last?.reduced === reduced) last.size *= size;
    else runs.push({ reduced, size });
  }
  const blocks: Block[] = [];
  let inner = 1;
  for (let index = runs.length - 1; index >= 0; index--) {
    const run = runs[index] ?? { reduced: false, size: 1 };
    if (!run.reduced) {
      inner *= run.size;
      continue;
    }
    const outer = runs.slice(0, index).reduce((product, other) => product * other.size, 1);
    blocks.push({ outer, size: run.size, inner });
  }
  return blocks.length > 0 ? blocks : [{ outer: inner, size: 1, inner: 1 }];
}
