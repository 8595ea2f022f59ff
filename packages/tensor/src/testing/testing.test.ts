import { describe, expect, it } from "vitest";
import { Device } from "../device.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import { compareClose, ulpDistance } from "./close.ts";
import { expectNoLeaks } from "./leaks.ts";
import { registerMatchers } from "./matchers.ts";

registerMatchers(expect);

const tight = { rtol: 0, atol: 0 };

describe("toBeClose", () => {
  it("compares lengths before anything else", () => {
    expect(compareClose([1, 2], [1], tight)).toEqual({
      close: false,
      message: "lengths differ: got 2 elements, expected 1",
    });
    expect(() => expect([]).toBeClose([1], { rtol: 1, atol: 1 })).toThrow("lengths differ");
  });

  it("uses atol + rtol * |expected|, on both sides of the bound", () => {
    const tolerance = { rtol: 0.125, atol: 0.25 };
    expect([2.5]).toBeClose([2], tolerance);
    expect([1.5]).toBeClose([2], tolerance);
    expect([2.501]).not.toBeClose([2], tolerance);
    expect([-1.499]).not.toBeClose([-2], tolerance);
  });

  it("has NaN equal NaN only, infinity itself only, and -0 equal 0", () => {
    const wide = { rtol: 1e9, atol: 1e9 };
    expect([Number.NaN]).toBeClose([Number.NaN], tight);
    expect([Number.NaN]).not.toBeClose([0], wide);
    expect([0]).not.toBeClose([Number.NaN], wide);
    expect([Number.POSITIVE_INFINITY]).toBeClose([Number.POSITIVE_INFINITY], tight);
    expect([Number.POSITIVE_INFINITY]).not.toBeClose([Number.NEGATIVE_INFINITY], wide);
    expect([1e38]).not.toBeClose([Number.POSITIVE_INFINITY], wide);
    expect([-0]).toBeClose([0], tight);
  });

  it("prints the worst element with its index, values and ulp", () => {
    const { message } = compareClose(Float32Array.of(1, 2, 3.5), Float32Array.of(1, 2.25, 3), {
      rtol: 0,
      atol: 0.1,
    });
    expect(message).toBe(
      "2 of 3 elements differ (rtol 0, atol 0.1); worst at index 2: got 3.5, expected 3, difference 0.5, 2097152 ulp (f32)",
    );
  });

  it("finds a miss among many hits", () => {
    const [actual, expected] = [new Float32Array(10_000), new Float32Array(10_000)];
    actual[7777] = Number.NaN;
    expect(compareClose(actual, expected, { rtol: 1, atol: 1 }).message).toContain(
      "1 of 10000 elements differ (rtol 1, atol 1); worst at index 7777: got NaN",
    );
  });

  it("refuses tolerances that are missing, negative or not finite", () => {
    for (const atol of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => compareClose([1], [1], { rtol: 0, atol })).toThrow(
        expect.objectContaining({ code: "VALUE_RANGE" }),
      );
    }
    // @ts-expect-error both tolerances are mandatory
    expect(() => compareClose([1], [1], { rtol: 0 })).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it("takes all kinds of numbers", () => {
    expect(Float32Array.of(1)).toBeClose(Float64Array.of(1), tight);
    expect(Int32Array.of(1)).toBeClose([1], tight);
    expect(new Float32Array(0)).toBeClose([], tight);
  });
});

describe("ulpDistance", () => {
  it("counts f32 values, across zero too", () => {
    expect(ulpDistance(1, 1 + 2 ** -23)).toBe(1);
    expect(ulpDistance(1, 1 - 2 ** -24)).toBe(1);
    expect(ulpDistance(-(2 ** -149), 2 ** -149)).toBe(2);
    expect(ulpDistance(0, -0)).toBe(0);
    expect(ulpDistance(Number.NaN, 1)).toBeNaN();
  });
});

describe("expectNoLeaks", () => {
  it("throws while more or fewer bytes are live than at the baseline", () => {
    const device = new Device(createReferenceBackend());
    expectNoLeaks(device);
    const x = device.zeros([4]);
    expect(() => expectNoLeaks(device)).toThrow(
      expect.objectContaining({
        code: "TENSORS_LEAKED",
        message: expect.stringContaining("16 bytes"),
      }),
    );
    expectNoLeaks(device, 16);
    x.dispose();
    expect(() => expectNoLeaks(device, 16)).toThrow(
      expect.objectContaining({ code: "TENSORS_LEAKED" }),
    );
    device.dispose();
  });
});
