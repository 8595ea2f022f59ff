import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alignment, Allocator, type Block } from "./allocator.ts";

const limit = 1 << 20;

/** Steps of a random program: sizes to allocate, or which of the live blocks to free. */
const programs = fc.array(
  fc.oneof(
    fc.record({
      allocate: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 200_000 })),
    }),
    fc.record({ free: fc.nat() }),
  ),
  { maxLength: 200 },
);

describe("Allocator", () => {
  it("hands out aligned blocks inside its range that never overlap, and takes all of them back", () => {
    fc.assert(
      fc.property(programs, (program) => {
        const allocator = new Allocator(100, limit);
        const live: { block: Block; size: number }[] = [];
        for (const step of program) {
          if ("free" in step) {
            const [taken] = live.length === 0 ? [] : live.splice(step.free % live.length, 1);
            if (taken !== undefined) allocator.free(taken.block);
          } else {
            const block = allocator.allocate(step.allocate);
            if (block !== null) live.push({ block, size: step.allocate });
          }
          const sorted = live.toSorted((a, b) => a.block.offset - b.block.offset);
          let end = 100;
          for (const { block, size } of sorted) {
            expect(block.offset % alignment).toBe(0);
            expect(block.offset).toBeGreaterThanOrEqual(end);
            expect(block.size).toBeGreaterThanOrEqual(size);
            end = block.offset + block.size;
          }
          expect(end).toBeLessThanOrEqual(allocator.top);
          expect(allocator.top).toBeLessThanOrEqual(limit);
        }
        for (const { block } of live) allocator.free(block);
        // Everything has merged: the top is back at the start, and one block can have all of the range.
        expect(allocator.top).toBe(allocator.start);
        expect(allocator.allocate(limit - allocator.start - 2 * 4096)).not.toBeNull();
      }),
      { numRuns: 200 },
    );
  });

  it("refuses only when no free run is long enough", () => {
    fc.assert(
      fc.property(programs, (program) => {
        const allocator = new Allocator(0, 65_536);
        const live: Block[] = [];
        for (const step of program) {
          if ("free" in step) {
            const [block] = live.length === 0 ? [] : live.splice(step.free % live.length, 1);
            if (block !== undefined) allocator.free(block);
            continue;
          }
          const wanted = Math.max(1, Math.ceil((step.allocate % 8192) / alignment)) * alignment;
          const block = allocator.allocate(wanted);
          if (block !== null) live.push(block);
          else expect(longestGap(live, 65_536)).toBeLessThan(wanted);
        }
      }),
    );
  });

  it("reuses the smallest block that fits", () => {
    const allocator = new Allocator(0, limit);
    const [large, , small] = [640, 64, 128, 64].map((size) => allocator.allocate(size));
    if (large === null || large === undefined || small === null || small === undefined)
      throw new TypeError("the allocator is full");
    allocator.free(large);
    allocator.free(small);
    expect(allocator.allocate(100)?.offset).toBe(small.offset);
    expect(allocator.allocate(100)?.offset).toBe(large.offset);
  });

  it("does nothing when a block is freed twice", () => {
    const allocator = new Allocator(0, limit);
    const block = allocator.allocate(64);
    const next = allocator.allocate(64);
    if (block === null || next === null) throw new TypeError("the allocator is full");
    allocator.free(block);
    allocator.free(block);
    expect(allocator.allocate(64)?.offset).toBe(block.offset);
    expect(allocator.allocate(64)?.offset).toBe(next.offset + 64);
  });

  it("does not place large blocks of one size a power of two apart", () => {
    const allocator = new Allocator(0, 2 ** 32);
    const [first, second] = [allocator.allocate(2 ** 28), allocator.allocate(2 ** 28)];
    expect(((second?.offset ?? 0) - (first?.offset ?? 0)) % 4096).not.toBe(0);
  });
});

function longestGap(live: readonly Block[], end: number): number {
  let [longest, reached] = [0, 0];
  for (const { offset, size } of live.toSorted((a, b) => a.offset - b.offset)) {
    longest = Math.max(longest, offset - reached);
    reached = offset + size;
  }
  return Math.max(longest, end - reached);
}
