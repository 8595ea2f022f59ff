import type { Runtime } from "../runtime.ts";

/** Below this one thread takes everything for one row. */
const fewElements = 65_536;
/** Parts at most: each has tables of counts of its own. */
const mostParts = 64;
/** Bits of the order that are counted one after the other, from the top. */
const lastDigit = { shift: 0, mask: 0xff } as const;
const digits = [{ shift: 20, mask: 0xfff }, { shift: 8, mask: 0xfff }, lastDigit] as const;

/**
 * The k largest of all elements, by radix selection: elements are counted by the uppermost bits of their order, then, where too
 * many share those of the k-th one, by the bits below. What is left is collected, part by part in ascending order of index, and
 * sorted. The counts are exact, so the result does not depend on how the tensor was divided.
 */
export function topKOfAll(
  { heap, wasm, team }: Runtime,
  x: number,
  size: number,
  k: number,
  values: number,
  indices: number,
): void {
  if (size <= fewElements) {
    team.run("topKRows", [x, size, k, values, indices], {
      count: 1,
      grain: 1,
      scratchBytes: wasm.selectScratchBytes(size),
    });
    return;
  }
  const parts = Math.min(mostParts, Math.ceil(size / fewElements));
  const length = Math.ceil(size / parts);
  heap.withScratch(parts * (digits[0].mask + 1) * 4, (tables) => {
    const selection = selectionOf({ parts, wanted: k }, (prefix, above, shift, mask) => {
      team.run("countOrders", [x, size, length, prefix, above, shift, mask, tables], {
        count: parts,
        grain: 1,
      });
      return new Uint32Array(heap.buffer, tables, parts * (mask + 1));
    });
    const { prefix, shift, starts, total } = selection;
    heap.withScratch(total * 8 + wasm.sortScratchBytes(total), (keys) => {
      new Uint32Array(heap.buffer, tables, starts.length).set(starts);
      team.run("collectOrders", [x, size, length, prefix, shift, tables, keys], {
        count: parts,
        grain: 1,
      });
      const sorted = wasm.sortKeyed(keys, total, keys + total * 8);
      wasm.keyedElements(x, sorted >>> 0, k, values, indices);
    });
  });
}

/** What is collected: orders below `prefix` at `shift`, and of the equal ones so many. */
interface Selection {
  readonly prefix: number;
  readonly shift: number;
  /** For each part where its keys begin, and how many equal ones it gives. */
  readonly starts: Uint32Array;
  /** Keys in all, at least as many as wanted. */
  readonly total: number;
}

/** Counts of each part, by digit, of the elements whose order above the digit is `prefix`. */
type Count = (prefix: number, above: number, shift: number, mask: number) => Uint32Array;

function selectionOf(
  { parts, wanted }: { readonly parts: number; readonly wanted: number },
  count: Count,
): Selection {
  /** Elements of each part that come before the prefix. */
  const before = new Array<number>(parts).fill(0);
  let prefix = 0;
  let above = 32;
  for (let level = 0; ; level++) {
    const { shift, mask } = digits[level] ?? lastDigit;
    const counts = count(prefix, above, shift, mask);
    const width = mask + 1;
    const of = (digit: number): number => {
      let sum = 0;
      for (let part = 0; part < parts; part++) sum += counts[part * width + digit] ?? 0;
      return sum;
    };
    let found = before.reduce((sum, each) => sum + each, 0);
    let digit = 0;
    while (found + of(digit) < wanted) found += of(digit++);
    const equal = of(digit);
    for (let part = 0; part < parts; part++) {
      const own = counts.subarray(part * width, part * width + digit);
      before[part] = (before[part] ?? 0) + own.reduce((sum, each) => sum + each, 0);
    }
    prefix = above === 32 ? digit : prefix * width + digit;
    above = shift;
    const last = shift === 0;
    if (!last && found + equal > 2 * wanted + fewElements) continue;
    // Equal orders at the last digit are ties, of which the first ones are taken.
    let quota = last ? wanted - found : equal;
    let total = 0;
    const starts = new Uint32Array(parts * 2);
    for (let part = 0; part < parts; part++) {
      const equals = Math.min(quota, counts[part * width + digit] ?? 0);
      quota -= equals;
      starts[part * 2] = total;
      starts[part * 2 + 1] = equals;
      total += (before[part] ?? 0) + equals;
    }
    return { prefix, shift, starts, total };
  }
}
