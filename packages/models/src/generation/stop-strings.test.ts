import { fc, test } from "@fast-check/vitest";
import { expect, it } from "vitest";
import { StopStrings } from "./stop-strings.ts";

/** Where the text ends: behind the shortest beginning that holds a stop string, less that string. */
function ended(text: string, stops: readonly string[]): string | null {
  for (let end = 0; end <= text.length; end++) {
    const stop = stops
      .filter((one) => text.slice(0, end).includes(one))
      .toSorted((a, b) => text.indexOf(a) - text.indexOf(b))[0];
    if (stop !== undefined) return text.slice(0, text.indexOf(stop));
  }
  return null;
}

const letters = fc.stringMatching(/^[ab]{0,24}$/u);
const someStops = fc.array(fc.stringMatching(/^[ab]{1,4}$/u), { maxLength: 3 });

test.prop([letters, someStops])(
  "a text that comes letter by letter ends where it should",
  (text, stops) => {
    const scanner = new StopStrings(stops);
    let given = "";
    let stop: string | null = null;
    for (const letter of text) {
      const checked = scanner.push(letter);
      given += checked.text;
      ({ stop } = checked);
      if (stop !== null) break;
      // Nothing of a stop string is ever out, and nothing else is held back for longer than it must be.
      expect(text.startsWith(given)).toBe(true);
    }
    if (stop === null) given += scanner.flush();
    expect(given).toBe(ended(text, stops) ?? text);
  },
);

test.prop([fc.array(letters, { maxLength: 6 }), someStops])(
  "pieces of any size lose nothing",
  (pieces, stops) => {
    const scanner = new StopStrings(stops);
    let given = "";
    for (const piece of pieces) {
      const { text, stop } = scanner.push(piece);
      given += text;
      if (stop !== null) {
        expect(pieces.join("").startsWith(given + stop)).toBe(true);
        return;
      }
    }
    expect(given + scanner.flush()).toBe(pieces.join(""));
  },
);

it("holds back what may become a stop string, and gives it out when it did not", () => {
  const scanner = new StopStrings(["</end>"]);
  expect(scanner.push("text </e")).toEqual({ text: "text ", stop: null });
  expect(scanner.push("m> and </end")).toEqual({ text: "</em> and ", stop: null });
  expect(scanner.push("> more")).toEqual({ text: "", stop: "</end>" });
});
