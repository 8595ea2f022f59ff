import type { Tasks } from "./task.ts";

/** Numbers of a chunk of tokens. */
export const ropeGrain = 65_536;

export const positionTasks = {
  /** Over tokens. */
  rope({ wasm }, args, begin, end) {
    const [x = 0, cos = 0, sin = 0, rows = 0, out = 0, heads = 0, dHead = 0] = args;
    const [dRotary = 0, positions = 0, interleaved = 0, sign = 0] = args.slice(7);
    const place = begin * heads * dHead * 4;
    wasm.rope(
      x + place,
      cos,
      sin,
      rows + begin * 4,
      end - begin,
      heads,
      dHead,
      dRotary / 2,
      positions,
      interleaved,
      sign,
      out + place,
    );
  },
} as const satisfies Tasks;
