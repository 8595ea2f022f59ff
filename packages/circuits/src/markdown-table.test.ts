import { expect, it } from "vitest";
import { markdownTable, withInterval } from "./markdown-table.ts";

it("pads cells, and shows intervals without signs before zeros", () => {
  expect(withInterval(-0.0004, [-0.0016, 0.0004], 3)).toBe("0.000 [-0.002, 0.000]");
  expect(withInterval(1.25, null, 1)).toBe("1.3");
  expect(markdownTable(["a", "bcd"], [["longer", "1"]])).toBe(
    "| a      | bcd |\n| ------ | --: |\n| longer |   1 |\n",
  );
});
