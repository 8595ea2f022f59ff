/** Axes of one loop nest: sizes, and for each operand its strides. */
export interface Loop {
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** Drops axes of size 1 and merges neighbours that every operand walks as one, so that few and long loops remain. */
export function collapse(shape: readonly number[], strides: readonly (readonly number[])[]): Loop {
  const sizes: number[] = [];
  const steps: number[][] = strides.map(() => []);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    if (size === 1) continue;
    const inner = sizes[0];
    const merges =
      inner !== undefined &&
      strides.every((own, index) => own[axis] === (steps[index]?.[0] ?? 0) * inner);
    if (merges) {
      sizes[0] = inner * size;
      continue;
    }
    sizes.unshift(size);
    for (const [index, own] of strides.entries()) steps[index]?.unshift(own[axis] ?? 0);
  }
  return { shape: sizes, strides: steps };
}

/** Pads a loop nest to at least `rank` axes with outer axes of size 1. */
export function padTo(loop: Loop, rank: number): Loop {
  const missing = Math.max(0, rank - loop.shape.length);
  const zeros = new Array<number>(missing).fill(0);
  return {
    shape: [...new Array<number>(missing).fill(1), ...loop.shape],
    strides: loop.strides.map((own) => [...zeros, ...own]),
  };
}

/** Calls `visit` with each operand's offset for every index over the first `axes` axes, in row-major order. */
export function forEachOuter(
  loop: Loop,
  axes: number,
  visit: (offsets: readonly number[], index: number) => void,
): void {
  const index = new Array<number>(axes).fill(0);
  const offsets = loop.strides.map(() => 0);
  const total = loop.shape.slice(0, axes).reduce((product, size) => product * size, 1);
  for (let count = 0; count < total; count++) {
    visit(offsets, count);
    for (let axis = axes - 1; axis >= 0; axis--) {
      const size = loop.shape[axis] ?? 1;
      const next = (index[axis] ?? 0) + 1;
      const wrapped = next === size;
      index[axis] = wrapped ? 0 : next;
      for (const [operand, own] of loop.strides.entries()) {
        const stride = own[axis] ?? 0;
        offsets[operand] = (offsets[operand] ?? 0) + (wrapped ? -stride * (size - 1) : stride);
      }
      if (!wrapped) break;
    }
  }
}
