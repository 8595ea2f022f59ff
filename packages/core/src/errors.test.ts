import { describe, expect, it, vi } from "vitest";
import * as errors from "./errors.ts";

const { describeError, LatentkitError, ShapeError } = errors;
const details = { code: "SHAPE_MISMATCH", message: "got [2], expected [3]", fix: "give [3]" };

describe("LatentkitError", () => {
  it("carries code, message, fix, where, cause, and its own name", () => {
    const cause = new RangeError("deep");
    const error = new ShapeError({ ...details, where: "layer 3", cause });
    expect(error).toMatchObject({ ...details, where: "layer 3", cause, name: "ShapeError" });
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(LatentkitError);
    expect(error.stack).toContain("errors.test.ts");
  });

  it("has neither cause nor where unless given", () => {
    const error = new ShapeError(details);
    expect("cause" in error).toBe(false);
    expect(error.where).toBeUndefined();
  });

  it("is recognised across copies of the package, where instanceof is not", async () => {
    vi.resetModules();
    const copy = await import("./errors.ts");
    const foreign = new copy.FormatError(details);
    expect(foreign instanceof LatentkitError).toBe(false);
    expect(LatentkitError.isInstance(foreign)).toBe(true);
    expect(copy.LatentkitError.isInstance(new ShapeError(details))).toBe(true);
  });

  it.each([null, undefined, "text", 3, {}, new Error("other"), { code: "X", fix: "y" }])(
    "does not take %s for one",
    (value) => {
      expect(LatentkitError.isInstance(value)).toBe(false);
    },
  );

  it("gives each subclass its own name", () => {
    const classes = [
      errors.ShapeError,
      errors.DTypeError,
      errors.DeviceError,
      errors.FormatError,
      errors.ConfigError,
      errors.MismatchError,
      errors.IoError,
      errors.AbortedError,
    ];
    expect(classes.map((Class) => new Class(details).name)).toEqual([
      "ShapeError",
      "DTypeError",
      "DeviceError",
      "FormatError",
      "ConfigError",
      "MismatchError",
      "IoError",
      "AbortedError",
    ]);
  });
});

describe("describeError", () => {
  it("says what happened, where, and what to do, in two lines", () => {
    expect(describeError(new ShapeError(details))).toBe(
      "SHAPE_MISMATCH got [2], expected [3]\n  fix: give [3]",
    );
    expect(describeError(new ShapeError({ ...details, where: "model.safetensors" }))).toBe(
      "SHAPE_MISMATCH model.safetensors: got [2], expected [3]\n  fix: give [3]",
    );
  });

  it("owns up to errors that are not on purpose", () => {
    expect(describeError(new TypeError("x is undefined"))).toMatch(
      /^UNEXPECTED x is undefined\n {2}fix: /,
    );
    expect(describeError("thrown text")).toContain("thrown text");
  });
});
