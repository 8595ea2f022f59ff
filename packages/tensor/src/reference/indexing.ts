import type { AxisPlan, IndexingKernels, Slice } from "../backend.ts";
import { elements, f32, i32 } from "./storage.ts";

/** Where an element lies in `[outer, size, inner]`. */
function place(o: number, size: number, at: number, inner: number, i: number): number {
  return (o * size + at) * inner + i;
}

/** Calls `visit` with the index for every `[o, p, i]`, and where the element lies on both sides. */
function forEachPick(
  { outer, axis, inner, picks }: AxisPlan,
  indexAt: (o: number, p: number, i: number) => number,
  visit: (picked: number, indexed: number | null) => void,
): void {
  for (let o = 0; o < outer; o++) {
    for (let p = 0; p < picks; p++) {
      for (let i = 0; i < inner; i++) {
        const index = indexAt(o, p, i);
        const inside = index >= 0 && index < axis;
        visit(place(o, picks, p, inner, i), inside ? place(o, axis, index, inner, i) : null);
      }
    }
  }
}

/** One index for a whole row of `inner` elements, or one for each element. */
function indexOf(indices: Slice, plan: AxisPlan, each: boolean) {
  const values = i32(indices);
  return (o: number, p: number, i: number): number =>
    values[each ? place(o, plan.picks, p, plan.inner, i) : p] ?? -1;
}

function read(x: Slice, indices: Slice, plan: AxisPlan, each: boolean, out: Slice): void {
  const [source, target] = [elements(x), elements(out)];
  forEachPick(plan, indexOf(indices, plan, each), (picked, indexed) =>
    target.set(picked, indexed === null ? Number.NaN : source.get(indexed)),
  );
}

function add(updates: Slice, indices: Slice, plan: AxisPlan, each: boolean, out: Slice): void {
  const [source, target] = [f32(updates), f32(out)];
  const sums = Float64Array.from(target);
  forEachPick(plan, indexOf(indices, plan, each), (picked, indexed) => {
    if (indexed !== null) sums[indexed] = (sums[indexed] ?? 0) + (source[picked] ?? Number.NaN);
  });
  target.set(sums);
}

export const indexingKernels: IndexingKernels = {
  embedding(table, ids, rows, columns, out) {
    const plan = { outer: 1, axis: table.length / columns, inner: columns, picks: rows };
    read(table, ids, plan, false, out);
  },

  indexSelect: (x, ids, plan, out) => read(x, ids, plan, false, out),
  indexAdd: (updates, ids, plan, out) => add(updates, ids, plan, false, out),
  gatherAxis: (x, indices, plan, out) => read(x, indices, plan, true, out),
  scatterAddAxis: (updates, indices, plan, out) => add(updates, indices, plan, true, out),

  oneHot(ids, width, out) {
    const target = f32(out).fill(0);
    for (const [row, id] of i32(ids).entries())
      if (id >= 0 && id < width) target[row * width + id] = 1;
  },

  firstOutside(ids, bound, out) {
    const values = i32(ids);
    const at = values.findIndex((id) => id < 0 || id >= bound);
    i32(out).set([at, values[at] ?? 0]);
  },
};
