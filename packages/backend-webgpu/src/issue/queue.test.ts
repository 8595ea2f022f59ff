import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Entry, WaitingQueue } from "./queue.ts";

interface Planted {
  ready: boolean;
}

/** An entry that notes that it ran. */
function entryOf(ran: number[], name: number, part: Partial<Entry<string>> = {}): Entry<string> {
  return {
    programs: [],
    buffers: [],
    dispatches: 1,
    bytes: 0,
    run: () => void ran.push(name),
    ...part,
  };
}

/** Entries that need some of 4 programs, and programs that get ready in between. */
const turns = fc.array(
  fc.oneof(
    fc.record({ needs: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }) }),
    fc.record({ compiled: fc.integer({ min: 0, max: 3 }) }),
  ),
  { maxLength: 40 },
);

describe("the queue before the device's", () => {
  it("runs entries in their order, each as soon as its programs and those of all before it are there", () => {
    fc.assert(
      fc.property(turns, (sequence) => {
        const programs: readonly Planted[] = Array.from({ length: 4 }, () => ({ ready: false }));
        const queue = new WaitingQueue<string>();
        const ran: number[] = [];
        const needs: (readonly Planted[])[] = [];
        for (const turn of sequence) {
          if ("needs" in turn) {
            const wanted = turn.needs.map((index) => programs[index]!);
            const name = needs.push(wanted) - 1;
            queue.push(entryOf(ran, name, { programs: wanted, buffers: [`buffer ${name}`] }));
          } else {
            programs[turn.compiled]!.ready = true;
            queue.advance();
          }
          const held = needs.findIndex((wanted) => wanted.some(({ ready }) => !ready));
          const wanted = held < 0 ? needs.length : held;
          expect(ran).toEqual(Array.from({ length: wanted }, (_, index) => index));
          expect(queue.busy).toBe(wanted < needs.length);
          for (let name = wanted; name < needs.length; name++)
            expect(queue.uses(`buffer ${name}`)).toBe(true);
          if (!queue.busy) expect(queue.uses("buffer 0")).toBe(false);
        }
      }),
    );
  });

  it("tells those who wait when it is empty, and not before", async () => {
    const queue = new WaitingQueue<string>();
    await queue.settled();
    const program: Planted = { ready: false };
    const ran: number[] = [];
    queue.push(entryOf(ran, 0, { programs: [program] }));
    let told = false;
    const settled = queue.settled().then(() => (told = true));
    queue.advance();
    await Promise.resolve();
    expect(told).toBe(false);
    program.ready = true;
    queue.advance();
    await settled;
    expect(ran).toEqual([0]);
  });

  it.each([
    ["dispatches", { dispatches: 16_384 }],
    ["bytes", { bytes: 256 * 1024 * 1024 }],
  ])("runs everything in place where too many %s wait", (_, part) => {
    const queue = new WaitingQueue<string>();
    const ran: number[] = [];
    const programs: readonly Planted[] = [{ ready: false }];
    queue.push(entryOf(ran, 0, { programs, ...part }));
    expect(ran).toEqual([]);
    queue.push(entryOf(ran, 1, { programs, bytes: 1 }));
    expect(ran).toEqual([0, 1]);
    expect(queue.busy).toBe(false);
  });

  it("drops what waits when it is closed, also by an entry that runs, and tells those who wait", async () => {
    const queue = new WaitingQueue<string>();
    const ran: number[] = [];
    const program: Planted = { ready: false };
    const closing = entryOf(ran, 0, {
      programs: [program],
      run: () => {
        ran.push(0);
        queue.close();
      },
    });
    queue.push(closing);
    queue.push(entryOf(ran, 1));
    const settled = queue.settled();
    program.ready = true;
    queue.advance();
    await settled;
    queue.push(entryOf(ran, 2));
    expect(ran).toEqual([0]);
  });
});
