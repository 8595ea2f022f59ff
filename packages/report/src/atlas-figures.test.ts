import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { syntheticReport } from "./__fixtures__/synthetic-report.ts";
import { atlasFigures } from "./atlas-figures.ts";

describe("atlasFigures", () => {
  const files = atlasFigures(syntheticReport());

  it("gives every figure of the page, under a name of its own", () => {
    const names = files.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(["density.svg", "antipodality.svg", "training-3.svg"]),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  it.each(files)("$name is one SVG document with its own colours and a label", ({ svg }) => {
    const { document } = parseHTML(svg);
    expect(document.querySelectorAll("svg[xmlns]")).toHaveLength(1);
    expect(document.querySelector("svg")?.getAttribute("aria-label")).not.toBe("");
    const used = new Set([...svg.matchAll(/var\((--[\w-]+)\)/g)].map(([, variable]) => variable));
    for (const variable of used) expect(svg).toContain(`${variable}:`);
  });
});
