import fc from "fast-check";
import { expect, test } from "vitest";
import type { World } from "../document.ts";
import { Draw } from "../draw.ts";
import { mixture, type MixturePart } from "./mixture.ts";

/** Documents of the world's letter, of random lengths up to `most`. */
function letters(name: string, most: number): World {
  return {
    name,
    seed: 0,
    document: (index) => ({
      id: `${name}/${index}`,
      world: name,
      text: name.repeat(new Draw(0, name, index).integer(1, most)),
      turns: null,
      spans: [],
      labels: {},
    }),
  };
}

const parts: MixturePart[] = [
  { world: letters("a", 2000), share: 5 },
  { world: letters("b", 300), share: 3 },
  { world: letters("c", 900), share: 2 },
];

test("each world has its share of the length, whatever the length of its documents", () => {
  const mix = mixture({ seed: 1, parts });
  const given = new Map<string, number>();
  let total = 0;
  while (total < 800_000) {
    const { world, text } = mix.next();
    given.set(world, (given.get(world) ?? 0) + text.length);
    total += text.length;
  }
  expect(given.get("a")! / total).toBeCloseTo(0.5, 2);
  expect(given.get("b")! / total).toBeCloseTo(0.3, 2);
  expect(given.get("c")! / total).toBeCloseTo(0.2, 2);
});

test("no world runs ahead of its share by more than a document, at any time", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 500 })), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.nat(),
      (shapes, seed) => {
        const made = shapes.map(([share, most], index) => ({
          world: letters("abcdef".charAt(index), most),
          share,
        }));
        const sum = shapes.reduce((total, [share]) => total + share, 0);
        const mix = mixture({ seed, parts: made });
        for (let step = 0; step < 60; step++) {
          mix.next();
          const state = mix.state();
          const total = state.parts.reduce((all, { length }) => all + length, 0);
          for (const [index, { length }] of state.parts.entries()) {
            const [share = 0, most = 0] = shapes[index] ?? [];
            expect(length).toBeLessThanOrEqual((total * share) / sum + most + 1e-6);
          }
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("documents of a world come in order, each once", () => {
  const mix = mixture({ seed: 2, parts });
  const next = new Map<string, number>();
  for (let step = 0; step < 500; step++) {
    const { world, id } = mix.next();
    expect(id).toBe(`${world}/${next.get(world) ?? 0}`);
    next.set(world, (next.get(world) ?? 0) + 1);
  }
  expect(mix.state().parts.map((part) => part.next)).toEqual(
    ["a", "b", "c"].map((name) => next.get(name)),
  );
});

test("a resumed stream is the uninterrupted one", () => {
  const whole = mixture({ seed: 4, parts });
  const ids = Array.from({ length: 400 }, () => whole.next().id);
  for (const stop of [0, 1, 123]) {
    const before = mixture({ seed: 4, parts });
    for (let step = 0; step < stop; step++) before.next();
    const after = mixture({ seed: 4, parts });
    after.restore(JSON.parse(JSON.stringify(before.state())));
    expect(Array.from({ length: 400 - stop }, () => after.next().id)).toEqual(ids.slice(stop));
    expect(after.state()).toEqual(whole.state());
  }
  expect(mixture({ seed: 5, parts }).next().id.length).toBeGreaterThan(0);
  const other = mixture({ seed: 5, parts });
  expect(Array.from({ length: 400 }, () => other.next().id)).not.toEqual(ids);
});

test("shares can be of tokens", () => {
  const mix = mixture({
    seed: 1,
    parts: parts.slice(0, 2),
    // Eight characters of a are a token, and one of b.
    length: ({ world, text }) => (world === "a" ? Math.ceil(text.length / 8) : text.length),
  });
  const characters = { a: 0, b: 0 };
  for (let step = 0; step < 4000; step++) {
    const { world, text } = mix.next();
    characters[world === "a" ? "a" : "b"] += text.length;
  }
  expect(characters.a / 8 / characters.b).toBeCloseTo(5 / 3, 1);
});

test("an opening has its own shares, and then the usual ones hold", () => {
  const options = { seed: 3, parts, opening: { length: 200_000, shares: { b: 3, c: 1 } } };
  const mix = mixture(options);
  const read = (length: number): Record<string, number> => {
    const given: Record<string, number> = {};
    for (let total = 0; total < length;) {
      const { world, text } = mix.next();
      given[world] = (given[world] ?? 0) + text.length;
      total += text.length;
    }
    return given;
  };
  const { a, b = 0, c = 0 } = read(200_000);
  expect(a).toBeUndefined();
  expect(b / (b + c)).toBeCloseTo(0.75, 1);
  expect(mix.state()).toMatchObject({ opened: true, parts: [{ length: 0 }, {}, {}] });
  const later = read(800_000);
  expect((later["a"] ?? 0) / 800_000).toBeCloseTo(0.5, 2);
  expect((later["b"] ?? 0) / 800_000).toBeCloseTo(0.3, 2);
  // It is resumed on either side of the seam.
  const whole = mixture(options);
  const ids = Array.from({ length: 4000 }, () => whole.next().id);
  for (const stop of [10, 1000, 3500]) {
    const before = mixture(options);
    for (let step = 0; step < stop; step++) before.next();
    const after = mixture(options);
    after.restore(JSON.parse(JSON.stringify(before.state())));
    expect(Array.from({ length: 400 }, () => after.next().id)).toEqual(ids.slice(stop, stop + 400));
  }
  for (const shares of [{}, { a: 0 }, { a: -1, b: 2 }, { b: Number.NaN }])
    expect(() => mixture({ seed: 0, parts, opening: { length: 5, shares } })).toThrow(
      expect.objectContaining({ code: "MIXTURE_PARTS" }),
    );
});

test("bad parts and states have errors", () => {
  const [a, b] = parts as [MixturePart, MixturePart];
  const code = (value: string): unknown => expect.objectContaining({ code: value });
  expect(() => mixture({ seed: 0, parts: [] })).toThrow(code("MIXTURE_PARTS"));
  expect(() => mixture({ seed: 0, parts: [a, { ...b, share: 0 }] })).toThrow(code("MIXTURE_PARTS"));
  expect(() => mixture({ seed: 0, parts: [{ ...a, share: Number.NaN }] })).toThrow(
    code("MIXTURE_PARTS"),
  );
  expect(() => mixture({ seed: 0, parts: [a, a] })).toThrow(code("MIXTURE_PARTS"));
  expect(() => mixture({ seed: 0, parts: [a, { ...a, name: "again" }] })).not.toThrow();
  const mix = mixture({ seed: 0, parts });
  expect(() => mix.restore({})).toThrow(code("MIXTURE_STATE"));
  expect(() =>
    mix.restore({ ...mix.state(), parts: [{ name: "a", next: -1, length: 0 }] }),
  ).toThrow(code("MIXTURE_STATE"));
  expect(() => mix.restore(mixture({ seed: 1, parts }).state())).toThrow(code("MIXTURE_OTHER"));
  expect(() => mix.restore(mixture({ seed: 0, parts: [a] }).state())).toThrow(
    code("MIXTURE_OTHER"),
  );
});
