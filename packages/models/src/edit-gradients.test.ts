// Gradients through edits against finite differences.
import { RandomKey } from "@latentkit/core";
import {
  add,
  crossEntropy,
  mul,
  randomNormal,
  softplus,
  sum,
  type Tensor,
  valueAndGrad,
} from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { testCodec } from "./__fixtures__/latent-codec.ts";
import { smallModel } from "./__fixtures__/small-model.ts";
import { deviation } from "./__fixtures__/support.ts";
import { addVector, projectOut, replaceWith, scaleBy } from "./edits.ts";
import type { SiteEdit } from "./hook-run.ts";
import type { RunOptions } from "./run-options.ts";
import { patchFrom } from "./patch.ts";
import { splice } from "./splice.ts";

const width = 12;
const vocabulary = 20;
const { device, model } = smallModel({ seed: 3 });
// Smooth, since finite differences across the kink of a ReLU are no slopes.
const kinked = testCodec(device, width);
const codec = {
  latents: kinked.latents,
  encode: (x: Tensor) => softplus(kinked.steps.preActivations(x)),
  decode: kinked.decode,
};
afterAll(() => kinked.dispose());

const tokens = [
  [3, 1, 4, 1, 5],
  [2, 6, 5],
];
const site = "blocks.0.hook_resid_post";

function lossOf(edits: readonly SiteEdit[], options: RunOptions = {}): Tensor {
  return device.scope(() => {
    const { logits } = model.run(tokens, { padding: "left", logits: "last", edits, ...options });
    const targets = device.tensor(Int32Array.of(7, 11), [2]);
    return crossEntropy((logits as Tensor).reshape([2, vocabulary]), targets, {
      reduction: "mean",
    });
  });
}

/** The slope along a random direction, by the tape and by central differences of two steps, extrapolated to none (Richardson). */
async function slopes(shape: readonly number[], loss: (x: Tensor) => Tensor, seed = 5) {
  const tensors = device.scope(() => {
    const x = randomNormal(device, shape, new RandomKey(seed));
    const direction = randomNormal(device, shape, new RandomKey(seed + 1));
    const { gradients } = valueAndGrad<{ x: Tensor }, [], Tensor>(({ x: own }) => loss(own))({ x });
    const at = (step: number) => loss(add(x, mul(direction, step)));
    return [sum(mul(gradients.x, direction)), ...[8e-3, -8e-3, 4e-3, -4e-3].map(at)];
  });
  const [given = 0, farUp = 0, farDown = 0, nearUp = 0, nearDown = 0] = await Promise.all(
    tensors.map((tensor) => tensor.item()),
  );
  for (const tensor of tensors) tensor.dispose();
  const [far, near] = [(farUp - farDown) / 16e-3, (nearUp - nearDown) / 8e-3];
  return { given, expected: (4 * near - far) / 3 };
}

const inner = (name: string, edit: SiteEdit["edit"]): SiteEdit => ({
  site: `${site}.hook_sae_${name}`,
  edit,
});

describe("gradients", () => {
  it.each<[string, readonly number[], (x: Tensor) => SiteEdit[]]>([
    ["a steering vector", [width], (x) => [{ site, edit: addVector(x, { scale: 2 }) }]],
    [
      "steering vectors of each row at some positions",
      [2, width],
      (x) => [{ site, edit: addVector(x, { scale: [1, -3], positions: [[0, 4], [1]] }) }],
    ],
    ["input embeddings", [2, 5, width], (x) => [{ site: "hook_embed", edit: replaceWith(x) }]],
    [
      "a patch's source",
      [1, 4, width],
      (x) => [{ site, edit: patchFrom(x, { positions: [0, 2], from: [3, 1] }) }],
    ],
    [
      "activations before edits of one site",
      [2, 5, width],
      (x) => [
        { site, edit: replaceWith(x) },
        { site, edit: scaleBy([2, -1], { positions: [1, 2] }) },
        {
          site,
          edit: projectOut([Float32Array.from({ length: width }, (_, i) => i)], { part: "prompt" }),
        },
      ],
    ],
    [
      "latents of a splice",
      [codec.latents],
      (x) => [splice(site, codec), inner("acts_post", addVector(x))],
    ],
    [
      "latents of a splice with its error term",
      [codec.latents],
      (x) => [
        splice(site, codec, { error: true }),
        inner("acts_post", addVector(x, { positions: [2] })),
      ],
    ],
    [
      "what a splice with its error term encodes",
      [2, 5, width],
      (x) => [
        { site, edit: replaceWith(x) },
        splice(site, codec, { error: true }),
        inner("acts_post", scaleBy(3)),
      ],
    ],
    [
      "what a transcoder encodes",
      [2, 5, width],
      (x) => [
        { site: "blocks.0.ln2.hook_normalized", edit: replaceWith(x) },
        splice("blocks.0.hook_mlp_out", codec, { from: "blocks.0.ln2.hook_normalized" }),
      ],
    ],
    [
      "a user's function",
      [width],
      (x) => [{ site, edit: (value, { rows }) => mul(value, mul(x, rows.length)) }],
    ],
  ])("to %s are the slopes of the loss", async (_, shape, edits) => {
    const { given, expected } = await slopes(shape, (x) => lossOf(edits(x)));
    expect(Math.abs(expected)).toBeGreaterThan(1e-3);
    expect(Math.abs(given - expected), `${given} and ${expected}`).toBeLessThan(
      2e-3 * Math.abs(expected) + 2e-4,
    );
  });

  it("to activations through captures: of a loss made from one of them", async () => {
    const loss = (x: Tensor) =>
      device.scope(() => {
        const { captured } = model.run(tokens, {
          padding: "left",
          logits: "none",
          edits: [{ site: "hook_embed", edit: addVector(x) }],
          capture: ["blocks.1.attn.hook_z"],
        });
        const z = captured.get("blocks.1.attn.hook_z") as Tensor;
        return sum(mul(z, z));
      });
    const { given, expected } = await slopes([width], loss);
    expect(Math.abs(given - expected)).toBeLessThan(2e-3 * Math.abs(expected) + 2e-4);
  });

  it("do not pass by a constant error term", async () => {
    const gradient = (error: true | "constant" | false) =>
      device.scope(() => {
        const x = randomNormal(device, [2, 5, width], new RandomKey(1));
        const edits = (own: Tensor) => [
          { site, edit: replaceWith(own) },
          splice(site, codec, { error }),
        ];
        return valueAndGrad<{ x: Tensor }, [], Tensor>(({ x: own }) => lossOf(edits(own)))({ x })
          .gradients.x;
      });
    const plain = device.scope(() => {
      const x = randomNormal(device, [2, 5, width], new RandomKey(1));
      return valueAndGrad<{ x: Tensor }, [], Tensor>(({ x: own }) =>
        lossOf([{ site, edit: replaceWith(own) }]),
      )({ x }).gradients.x;
    });
    const [whole, constant] = [gradient(true), gradient("constant")];
    const [expected, passing, blocked] = await Promise.all(
      [plain, whole, constant].map((tensor) => tensor.floats()),
    );
    expect(deviation(passing as Float32Array, expected as Float32Array)).toBeLessThan(1e-4);
    expect(deviation(blocked as Float32Array, expected as Float32Array)).toBeGreaterThan(0.05);
    for (const tensor of [plain, whole, constant]) tensor.dispose();
  });
});
