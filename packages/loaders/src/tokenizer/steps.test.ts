import { describe, expect, it } from "vitest";
import { loadJson } from "../__fixtures__/load.ts";
import { originalEnd, originalStart, plainText } from "./aligned-text.ts";
import { makeDecodeTokens } from "./decoders.ts";
import type { TokenizerComponent } from "./definition.ts";
import { makeNormalizer } from "./normalize.ts";
import { makePreTokenizer } from "./pre-tokenize.ts";

type Pieces = readonly [
  texts: readonly string[],
  starts: readonly number[],
  ends: readonly number[],
];

interface Steps {
  readonly texts: readonly string[];
  readonly pieces: readonly (readonly [TokenizerComponent, readonly Pieces[]])[];
  readonly normalized: readonly (readonly [TokenizerComponent, readonly string[]])[];
  readonly lists: readonly (readonly string[])[];
  readonly decoded: readonly (readonly [TokenizerComponent, readonly (string | null)[]])[];
}

const awkward = loadJson<readonly string[]>("../tokenizer/__fixtures__/texts.json");
const steps = loadJson<Steps>("../tokenizer/__fixtures__/steps.json");
const label = ({ type, ...rest }: TokenizerComponent): string =>
  `${type} ${JSON.stringify(rest).slice(0, 100)}`;

describe("pre-tokenizers, as Hugging Face tokenizers runs them", () => {
  it.each(steps.pieces.map(([component, rows]) => [label(component), component, rows] as const))(
    "%s",
    (_label, component, rows) => {
      const { preTokenize } = makePreTokenizer(component);
      steps.texts.forEach((text, index) => {
        const pieces = preTokenize(plainText(text)).filter((piece) => piece.text !== "");
        expect([
          pieces.map((piece) => piece.text),
          pieces.map((piece) => originalStart(piece, 0)),
          pieces.map((piece) => originalEnd(piece, piece.text.length)),
        ]).toEqual(rows[index]);
      });
      expect(rows.length).toBe(steps.texts.length);
    },
  );
});

describe("normalisers, as Hugging Face tokenizers runs them", () => {
  it.each(
    steps.normalized.map(([component, rows]) => [label(component), component, rows] as const),
  )("%s", (_label, component, rows) => {
    const normalize = makeNormalizer(component);
    expect(awkward.map((text) => normalize(plainText(text)).text)).toEqual(rows);
  });
});

describe("decoders, as Hugging Face tokenizers runs them", () => {
  it.each(steps.decoded.map(([component, rows]) => [label(component), component, rows] as const))(
    "%s",
    (_label, component, rows) => {
      const decode = makeDecodeTokens(component);
      // Where the reference itself fails, there is nothing to be equal to.
      const ours = steps.lists.map((tokens, index) =>
        rows[index] === null ? null : decode(tokens).join(""),
      );
      expect(ours).toEqual(rows);
      expect(rows.filter((row) => row !== null).length).toBeGreaterThan(8);
    },
  );
});
