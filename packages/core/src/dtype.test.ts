import { expect, it } from "vitest";
import { bytesPerElement, dtypes, parseDType } from "./dtype.ts";
import { DTypeError } from "./errors.ts";

it("knows each dtype's size", () => {
  expect(dtypes.map((dtype) => bytesPerElement(dtype))).toEqual([4, 2, 2, 4, 1]);
});

it("parses the names it lists and refuses others, naming them", () => {
  for (const dtype of dtypes) expect(parseDType(dtype)).toBe(dtype);
  expect(() => parseDType("f64", "header")).toThrow(DTypeError);
  expect(() => parseDType("f64", "header")).toThrow(/"f64".*f32, f16, bf16, i32, u8/);
});
