import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Device } from "./device.ts";
import { add, mul } from "./operators/arithmetic.ts";
import { encodeTopK } from "./operators/sparse-encode.ts";
import { createReferenceBackend } from "./reference/backend.ts";
import { heldTensors } from "./scope.ts";
import { expectNoLeaks } from "./testing/leaks.ts";
import type { Tensor } from "./tensor.ts";

let device: Device;
beforeEach(() => {
  device = new Device(createReferenceBackend());
});
afterEach(() => device.dispose());

const liveBytes = (): number => device.memory().liveBytes;

describe("Device makes tensors", () => {
  it("with the dtype of the array", async () => {
    expect(device.tensor(Float32Array.of(1, 2), [2]).dtype).toBe("f32");
    expect(device.tensor([1, 2], [2]).dtype).toBe("f32");
    expect(device.tensor(Int32Array.of(1, 2), [2]).dtype).toBe("i32");
    expect(device.tensor(Uint8Array.of(1, 2), [2]).dtype).toBe("u8");
    expect([...(await device.tensor(Int32Array.of(-1, 2 ** 31 - 1), [2]).integers())]).toEqual([
      -1,
      2 ** 31 - 1,
    ]);
    expect([...(await device.tensor(Uint8Array.of(0, 255), [2]).integers())]).toEqual([0, 255]);
  });

  it("from a typed array that starts inside its buffer", async () => {
    const values = new Float32Array([9, 1, 2, 3, 9]).subarray(1, 4);
    expect([...(await device.tensor(values, [3]).floats())]).toEqual([1, 2, 3]);
  });

  it("from bytes of halves", async () => {
    const bytes = new Uint8Array(Uint16Array.of(0x3c00, 0xc000).buffer);
    expect([...(await device.fromBytes(bytes, [2], "f16").floats())]).toEqual([1, -2]);
    expect([...(await device.fromBytes(bytes, [2], "bf16").floats())]).toEqual([0.0078125, -2]);
  });

  it("of size 0 and of rank 0", async () => {
    expect((await device.tensor([], [0, 3]).floats()).length).toBe(0);
    expect(await device.tensor([5], []).item()).toBe(5);
    expect(await device.zeros([], "i32").item()).toBe(0);
  });

  it("and refuses data that does not fill the shape", () => {
    expect(() => device.tensor([1, 2, 3], [2, 2])).toThrow(
      expect.objectContaining({
        code: "SHAPE_DATA",
        message: expect.stringMatching(/\[2, 2\].*4 elements.*3 elements/),
      }),
    );
    expect(() => device.zeros([-1])).toThrow(expect.objectContaining({ code: "SHAPE_INVALID" }));
    expect(() => device.fromBytes(new Uint8Array(3), [1], "f16")).toThrow(
      expect.objectContaining({ code: "SHAPE_DATA" }),
    );
    expect(liveBytes()).toBe(0);
  });
});

describe("Tensor", () => {
  it("reads what its dtype is, and says which call to use", async () => {
    await expect(device.zeros([2], "i32").floats()).rejects.toMatchObject({
      code: "DTYPE_MISMATCH",
      fix: "call integers()",
    });
    await expect(device.zeros([2]).integers()).rejects.toMatchObject({
      code: "DTYPE_MISMATCH",
      fix: "call floats()",
    });
    await expect(device.zeros([2]).item()).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
  });

  it("gives a host copy that later kernels do not change, even if it is disposed before the values arrive", async () => {
    const x = device.tensor([1, 2], [2]);
    const reading = x.floats();
    x.dispose();
    device.full([2], 7);
    expect([...(await reading)]).toEqual([1, 2]);
  });

  it("shares storage with its views, freed with the last of them", async () => {
    const x = device.tensor(
      Float32Array.from({ length: 12 }, (_, index) => index),
      [4, 3],
    );
    const bytes = liveBytes();
    const middle = x.rows(1, 3);
    const flat = middle.reshape([6]);
    expect(liveBytes()).toBe(bytes);
    expect(middle.shape).toEqual([2, 3]);
    x.dispose();
    middle.dispose();
    expect(liveBytes()).toBe(bytes);
    expect([...(await flat.floats())]).toEqual([3, 4, 5, 6, 7, 8]);
    flat.dispose();
    expect(liveBytes()).toBe(0);
  });

  it("views of views add up their offsets", async () => {
    const x = device.tensor(
      Float32Array.from({ length: 20 }, (_, index) => index),
      [10, 2],
    );
    expect([...(await x.rows(2, 9).rows(1, 5).rows(3, 4).floats())]).toEqual([12, 13]);
    expect([...(await x.rows(4, 4).floats())]).toEqual([]);
  });

  it("refuses views that do not fit", () => {
    const x = device.zeros([4, 3]);
    expect(() => x.reshape([5, 3])).toThrow(
      expect.objectContaining({
        code: "SHAPE_MISMATCH",
        message: expect.stringMatching(/\[4, 3\].*\[5, 3\]/),
      }),
    );
    for (const [start, end] of [
      [-1, 2],
      [3, 2],
      [0, 5],
      [0.5, 2],
    ] as const) {
      expect(() => x.rows(start, end)).toThrow(expect.objectContaining({ code: "SHAPE_RANGE" }));
    }
    expect(() => device.full([], 1).rows(0, 1)).toThrow(
      expect.objectContaining({ code: "SHAPE_RANGE" }),
    );
  });

  it("says so when it is used after dispose; disposing twice does nothing", async () => {
    const x = device.zeros([2]);
    const view = x.reshape([2, 1]);
    x.dispose();
    x.dispose();
    expect(x.disposed).toBe(true);
    expect(view.disposed).toBe(false);
    const disposed = expect.objectContaining({ code: "TENSOR_DISPOSED" });
    expect(() => add(x, 1)).toThrow(disposed);
    expect(() => add(view, x)).toThrow(disposed);
    expect(() => x.reshape([2])).toThrow(disposed);
    expect(() => x.rows(0, 1)).toThrow(disposed);
    await expect(x.floats()).rejects.toThrow(disposed);
    view.dispose();
    expectNoLeaks(device);
  });

  it("is disposed by `using`", () => {
    {
      using x = device.zeros([4]);
      expect(x.disposed).toBe(false);
      expect(liveBytes()).toBe(16);
    }
    expect(liveBytes()).toBe(0);
  });

  it("outlives nothing: a disposed device says so", () => {
    const x = device.zeros([2]);
    device.dispose();
    device.dispose();
    expect(() => x.slice).toThrow(expect.objectContaining({ code: "DEVICE_DISPOSED" }));
    expect(() => device.zeros([1])).toThrow(expect.objectContaining({ code: "DEVICE_DISPOSED" }));
    expect(() => x.dispose()).not.toThrow();
  });
});

describe("Device.scope", () => {
  it("frees what was made inside but for the result", async () => {
    const x = device.tensor([1, 2, 3], [3]);
    const y = device.scope(() => mul(add(mul(x, 2), 1), add(x, x)));
    expect(liveBytes()).toBe(24);
    expect([...(await y.floats())]).toEqual([6, 20, 42]);
    expect(x.disposed).toBe(false);
  });

  it("finds results in arrays, maps, sets, plain objects and holders, at any depth", () => {
    const make = (): Tensor => device.full([1], 1);
    const holder = { kept: make(), [heldTensors]: () => [held] };
    const held = make();
    const outside = liveBytes();
    const result = device.scope(() => {
      make();
      const own = { [heldTensors]: () => [inner] };
      const inner = make();
      const cyclic: { self?: unknown; tensor: Tensor } = { tensor: make() };
      cyclic.self = cyclic;
      return {
        list: [make(), [make()]],
        map: new Map([["a", make()]]),
        set: new Set([make()]),
        own,
        cyclic,
        text: "x",
        nothing: null,
        inner,
        bare: Object.assign(Object.create(null), { t: make() }),
      };
    });
    expect(liveBytes()).toBe(outside + 7 * 4);
    expect(result.inner.disposed).toBe(false);
    expect(result.cyclic.tensor.disposed).toBe(false);
    expect(holder.kept.disposed).toBe(false);
  });

  it("does not look into instances of other classes: they name their tensors themselves", () => {
    class Box {
      readonly tensor: Tensor = device.full([1], 1);
    }
    expect(device.scope(() => new Box()).tensor.disposed).toBe(true);
  });

  it("keeps all of a SparseRows", async () => {
    const rows = device.scope(() => encodeTopK(device.tensor([1, 3, 2, 6, 5, 4], [2, 3]), 2));
    expect([...(await rows.indices.integers())]).toEqual([1, 2, 0, 1]);
    expect(rows.counts.disposed || rows.values.disposed).toBe(false);
    rows.dispose();
    expectNoLeaks(device);
  });

  it("nests: what survives the inner scope belongs to the outer one", () => {
    let inner: Tensor | undefined;
    const outer = device.scope(() => {
      inner = device.scope(() => {
        device.zeros([100]);
        return device.zeros([2]);
      });
      expect(liveBytes()).toBe(8);
      return device.zeros([1]);
    });
    expect(inner?.disposed).toBe(true);
    expect(liveBytes()).toBe(4);
    outer.dispose();
  });

  it("leaves tensors of an outer scope alone when an inner one returns them", () => {
    device.scope(() => {
      const x = device.zeros([3]);
      device.scope(() => x);
      device.scope(() => [x, device.zeros([1])]);
      expect(x.disposed).toBe(false);
    });
    expectNoLeaks(device);
  });

  it("frees on throw, and the error goes on", () => {
    expect(() =>
      device.scope(() => {
        device.scope(() => device.zeros([5]));
        device.zeros([7]);
        throw new RangeError("inside");
      }),
    ).toThrow("inside");
    expectNoLeaks(device);
    device.zeros([1]);
    expect(liveBytes()).toBe(4);
  });

  it("refuses promises", () => {
    expect(() => device.scope(() => Promise.resolve(device.zeros([3])))).toThrow(
      expect.objectContaining({ code: "SCOPE_ASYNC" }),
    );
    expectNoLeaks(device);
  });

  it("takes tensors disposed inside, and views of outer tensors", async () => {
    const x = device.tensor([1, 2, 3, 4], [4]);
    const view = device.scope(() => {
      device.zeros([3]).dispose();
      x.rows(0, 1);
      return x.rows(1, 3);
    });
    expect(liveBytes()).toBe(16);
    x.dispose();
    expect([...(await view.floats())]).toEqual([2, 3]);
    view.dispose();
    expectNoLeaks(device);
  });

  it("lets go of what is kept, through all open scopes", () => {
    let kept: Tensor | undefined;
    device.scope(() => {
      device.scope(() => {
        kept = device.keep(device.zeros([3]));
      });
    });
    expect(kept?.disposed).toBe(false);
    kept?.dispose();
    expectNoLeaks(device);
  });

  it("returns values that hold no tensors as they are", () => {
    expect(device.scope(() => 5)).toBe(5);
    expect(device.scope(() => null)).toBe(null);
    const frozen = Object.freeze({ a: 1 });
    expect(device.scope(() => frozen)).toBe(frozen);
  });
});
