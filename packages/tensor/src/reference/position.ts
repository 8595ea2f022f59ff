import type { PositionKernels } from "../backend.ts";
import { f32, i32 } from "./storage.ts";

export const positionKernels: PositionKernels = {
  rope(x, cos, sin, rows, plan, out) {
    const { tokens, heads, dHead, dRotary, positions, interleaved, transposed } = plan;
    const [source, target, cosines, sines, picks] = [
      f32(x),
      f32(out),
      f32(cos),
      f32(sin),
      i32(rows),
    ];
    const half = dRotary / 2;
    for (let token = 0; token < tokens; token++) {
      const row = picks[token] ?? -1;
      const known = row >= 0 && row < positions;
      for (let head = 0; head < heads; head++) {
        const start = (token * heads + head) * dHead;
        for (let pair = 0; pair < half; pair++) {
          const first = start + (interleaved ? 2 * pair : pair);
          const second = interleaved ? first + 1 : first + half;
          const c = known ? (cosines[row * half + pair] ?? Number.NaN) : Number.NaN;
          const s =
            (known ? (sines[row * half + pair] ?? Number.NaN) : Number.NaN) * (transposed ? -1 : 1);
          const [a, b] = [source[first] ?? Number.NaN, source[second] ?? Number.NaN];
          target[first] = a * c - b * s;
          target[second] = b * c + a * s;
        }
        for (let feature = start + dRotary; feature < start + dHead; feature++)
          target[feature] = source[feature] ?? Number.NaN;
      }
    }
  },
};
