import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Device } from "../device.ts";
import { gelu } from "../operators/unary.ts";
import { matmul } from "../operators/matmul.ts";
import { mean, sum } from "../operators/reduce.ts";
import { attention } from "../operators/attention.ts";
import { crossEntropy } from "../operators/losses.ts";
import { softmax } from "../operators/softmax.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { registerMatchers } from "../testing/matchers.ts";
import type { Tensor } from "../tensor.ts";
import { createReferenceBackend } from "./backend.ts";
import { erf } from "./erf.ts";

registerMatchers(expect);

describe("erf", () => {
  // Python's math.erf.
  const known = [
    [0, 0],
    [0.1, 0.1124629160182849],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [1.5, 0.9661051464753108],
    [2, 0.9953222650189527],
    [2.49, 0.9995707121322661],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [4, 0.9999999845827421],
  ] as const;

  it.each(known)("of %d is %d", (x, expected) => {
    expect(Math.abs(erf(x) - expected)).toBeLessThan(2e-15);
    expect(erf(-x)).toBe(-erf(x));
  });

  it("ends at 1 and keeps NaN", () => {
    expect(erf(7)).toBe(1);
    expect(erf(Number.NEGATIVE_INFINITY)).toBe(-1);
    expect(erf(Number.NaN)).toBeNaN();
  });
});

describe("reference kernels have the closed forms", () => {
  const device = new Device(createReferenceBackend());
  afterEach(() => expectNoLeaks(device));
  afterAll(() => device.dispose());

  async function read(run: () => Tensor): Promise<Float32Array> {
    const result = device.scope(run);
    const values = await result.floats();
    result.dispose();
    return values;
  }

  it("matmul: powers of a rotation are rotations", async () => {
    const angle = 0.3;
    const values = await read(() => {
      const turn = device.tensor(
        [Math.cos(angle), -Math.sin(angle), Math.sin(angle), Math.cos(angle)],
        [2, 2],
      );
      return matmul(matmul(turn, turn), turn);
    });
    expect(values).toBeClose([Math.cos(0.9), -Math.sin(0.9), Math.sin(0.9), Math.cos(0.9)], {
      rtol: 1e-6,
      atol: 1e-7,
    });
  });

  it("sum and mean of 0 .. n - 1", async () => {
    const count = 1001;
    const values = Float32Array.from({ length: count }, (_, index) => index);
    expect(await read(() => sum(device.tensor(values, [count])))).toBeClose(
      [(count * (count - 1)) / 2],
      { rtol: 0, atol: 0 },
    );
    expect(await read(() => mean(device.tensor(values, [count])))).toBeClose([(count - 1) / 2], {
      rtol: 0,
      atol: 0,
    });
  });

  it("softmax of logarithms is their proportions; of two values a logistic", async () => {
    expect(await read(() => softmax(device.tensor([1, 2, 3, 4].map(Math.log), [1, 4])))).toBeClose(
      [0.1, 0.2, 0.3, 0.4],
      { rtol: 1e-6, atol: 0 },
    );
    expect(await read(() => softmax(device.tensor([0, 2], [1, 2])))).toBeClose(
      [1 / (1 + Math.exp(2)), 1 / (1 + Math.exp(-2))],
      { rtol: 1e-6, atol: 0 },
    );
  });

  it("crossEntropy of proportions is minus their logarithm", async () => {
    const values = await read(() =>
      crossEntropy(
        device.tensor([1, 2, 5].map(Math.log), [1, 3]),
        device.tensor(Int32Array.of(2), [1]),
      ),
    );
    expect(values).toBeClose([-Math.log(5 / 8)], { rtol: 1e-6, atol: 0 });
  });

  it("attention with queries of 0 averages the values seen so far", async () => {
    const values = await read(() => {
      const v = device.tensor([1, 2, 6], [1, 3, 1, 1]);
      return attention(device.zeros([1, 3, 1, 1]), device.tensor([5, -5, 5], [1, 3, 1, 1]), v, {
        scale: 1,
      });
    });
    expect(values).toBeClose([1, 1.5, 3], { rtol: 1e-6, atol: 0 });
  });

  it("gelu(x) - gelu(-x) = x", async () => {
    const x = Float32Array.from({ length: 81 }, (_, index) => (index - 40) / 8);
    const [up, down] = [
      await read(() => gelu(device.tensor(x, [81]))),
      await read(() =>
        gelu(
          device.tensor(
            x.map((value) => -value),
            [81],
          ),
        ),
      ),
    ];
    expect(up.map((value, index) => value - (down[index] ?? 0))).toBeClose(x, {
      rtol: 1e-6,
      atol: 1e-7,
    });
  });
});

describe("reference storage", () => {
  it("refuses use after free, a second free, and another backend's storage", async () => {
    const backend = createReferenceBackend();
    const storage = backend.allocate(8);
    backend.free(storage);
    expect(() =>
      backend.write({ storage, offset: 0, length: 1, dtype: "u8" }, Uint8Array.of(1)),
    ).toThrow(expect.objectContaining({ code: "STORAGE_FREED" }));
    expect(() => backend.free(storage)).toThrow(expect.objectContaining({ code: "STORAGE_FREED" }));
    expect(() =>
      backend.write(
        { storage: { byteLength: 8 }, offset: 0, length: 1, dtype: "u8" },
        Uint8Array.of(1),
      ),
    ).toThrow(expect.objectContaining({ code: "DEVICE_MISMATCH" }));
  });

  it("counts live and peak bytes", () => {
    const backend = createReferenceBackend();
    const [a, b] = [backend.allocate(10), backend.allocate(20)];
    backend.free(a);
    backend.allocate(5);
    expect(backend.memory()).toEqual({ liveBytes: 25, peakBytes: 30 });
    backend.free(b);
    backend.dispose();
    expect(backend.memory().liveBytes).toBe(0);
  });
});
