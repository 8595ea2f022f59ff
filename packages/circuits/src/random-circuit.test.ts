import { Random } from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type CircuitNode, nodeKey } from "./circuit-node.ts";
import { randomCircuit } from "./random-circuit.ts";

const nodes: fc.Arbitrary<CircuitNode[]> = fc.uniqueArray(
  fc.record({
    site: fc.constantFrom("a", "b"),
    latent: fc.option(fc.nat(9)),
    position: fc.nat(3),
  }),
  { selector: nodeKey },
);

it("draws as many latents and errors of each site, all different, of the candidates alone, the same for a seed", () => {
  fc.assert(
    fc.property(nodes, nodes, fc.nat(), (circuit, candidates, seed) => {
      const drawn = randomCircuit(circuit, candidates, new Random(seed));
      const allowed = new Set(candidates.map(nodeKey));
      expect(new Set(drawn.map(nodeKey)).size).toBe(drawn.length);
      expect(drawn.every((node) => allowed.has(nodeKey(node)))).toBe(true);
      for (const site of ["a", "b"])
        for (const error of [true, false]) {
          const size = (all: readonly CircuitNode[]) =>
            all.filter((node) => node.site === site && (node.latent === null) === error).length;
          expect(size(drawn)).toBe(Math.min(size(circuit), size(candidates)));
        }
      const shuffled = candidates.toReversed();
      expect(randomCircuit(circuit, shuffled, new Random(seed))).toEqual(drawn);
    }),
  );
});
