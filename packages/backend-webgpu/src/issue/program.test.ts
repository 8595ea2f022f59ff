import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bufferSize } from "../memory/pool.ts";
import { powerOfTwo } from "../kernels/order.ts";
import { withLibrary } from "../wgsl/library.ts";

describe("programs", () => {
  it("hold the functions that they call, those that these call, each once, and no others", () => {
    const text = withLibrary("fn run(x: f32) -> f32 { return softplus_of(x) + exp_of(x); }");
    for (const name of ["softplus_of", "log1p_of", "log_of", "exp_of", "exp_rest", "is_nan"])
      expect(text.split(`fn ${name}(`), name).toHaveLength(2);
    expect(text).not.toContain("fn erf_of(");
  });
});

describe("sizes", () => {
  it("buffers hold what was asked for, of whole 256 bytes, and waste at most a fifth of themselves", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 36 }), (byteLength) => {
        const size = bufferSize(byteLength);
        expect(size).toBeGreaterThanOrEqual(byteLength);
        expect(size % 256).toBe(0);
        if (byteLength > 1024) expect(size - byteLength).toBeLessThan(size / 5);
        expect(bufferSize(size)).toBe(size);
      }),
    );
  });

  it("powers of two are the smallest that hold", () => {
    expect([0, 1, 2, 3, 4, 5, 1000, 1024, 1025].map(powerOfTwo)).toEqual([
      1, 1, 2, 4, 4, 8, 1024, 1024, 2048,
    ]);
  });
});
