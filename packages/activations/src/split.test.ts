import { ConfigError } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fnv1a, splitOf } from "./split.ts";

describe("splitOf", () => {
  const documents = Array.from({ length: 4000 }, (_, index) => ({
    id: String(index),
    text: `text number ${index}`,
  }));
  const heldOut = (seed: number): Set<string> =>
    new Set(
      documents
        .filter((document) => splitOf(document, { heldOut: 0.1, seed }) === "held-out")
        .map(({ id }) => id),
    );

  it("holds out the share that was asked for", () => {
    // Binomial: 400 expected, standard deviation 19.
    for (const seed of [0, 1, 2, -7]) expect(Math.abs(heldOut(seed).size - 400)).toBeLessThan(95);
  });

  it("holds out other documents for another seed", () => {
    const [first, second] = [heldOut(0), heldOut(1)];
    const both = [...first].filter((id) => second.has(id)).length;
    expect(both).toBeLessThan(90);
    expect(both).toBeGreaterThan(10);
  });

  it("puts equal texts together, whatever their ids and white space", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.integer(), (text, one, other, seed) => {
        const policy = { heldOut: 0.5, seed };
        const padded = `\n ${text.replaceAll(" ", " \t\r\n")}  `;
        expect(splitOf({ id: one, text }, policy)).toBe(
          splitOf({ id: other, text: padded }, policy),
        );
      }),
    );
  });

  it("leaves held out what was held out when the share grows", () => {
    for (const document of documents.slice(0, 500)) {
      if (splitOf(document, { heldOut: 0.1, seed: 3 }) === "train") continue;
      expect(splitOf(document, { heldOut: 0.3, seed: 3 })).toBe("held-out");
    }
  });

  it.each([1, -0.1, Number.NaN])("refuses a share of %s", (share) => {
    expect(() => splitOf({ id: "a", text: "b" }, { heldOut: share, seed: 0 })).toThrow(ConfigError);
  });

  it("hashes as FNV-1a does", () => {
    // "a" and "foobar" interleaved with zero bytes: FNV-1a of 61 00 and of 66 00 6f 00 ..., from the definition in BigInt.
    const slow = (text: string): number => {
      let hash = 0x811c9dc5n;
      for (const byte of new Uint8Array(Buffer.from(text, "utf16le")))
        hash = ((hash ^ BigInt(byte)) * 0x01000193n) % 2n ** 32n;
      return Number(hash);
    };
    for (const text of ["", "a", "foobar", "\u{1f600}"]) expect(fnv1a(text)).toBe(slow(text));
  });
});
