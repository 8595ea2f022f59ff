// SAEs inside of a model's forward pass.
import { Random, RandomKey } from "@latentkit/core";
import {
  addVector,
  type LatentCodec,
  randomModel,
  replaceWith,
  scaleBy,
  type SiteEdit,
  splice,
} from "@latentkit/models";
import {
  add,
  createReferenceBackend,
  Device,
  encodeTopK,
  greater,
  linear,
  matmul,
  mul,
  randomNormal,
  sparseToDense,
  sum,
  type Tensor,
  valueAndGrad,
  where,
} from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { blockRowsFor, rowBlocks } from "./blocks.ts";
import { Sae } from "./sae.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
/** A latent that nothing makes active but an edit. */
const silent = 7;
const [dIn, dSae] = [12, 20];
const model = randomModel({
  device,
  seed: 4,
  config: {
    layers: 2,
    dModel: dIn,
    heads: 2,
    kvHeads: 1,
    dHead: 6,
    dMlp: 8,
    vocabulary: 20,
    contextSize: 12,
  },
});
const saes = { jumprelu: randomSae("jumprelu"), topk: randomSae("topk") };
afterAll(() => {
  for (const sae of Object.values(saes)) sae.dispose();
  model.dispose();
  expectNoLeaks(device);
  device.dispose();
});

const site = "blocks.0.hook_resid_post";
const inner = (name: string) => `${site}.hook_sae_${name}`;
const tokens = [
  [3, 1, 4, 1],
  [2, 6, 5, 3],
];

function randomSae(architecture: "jumprelu" | "topk"): Sae {
  const random = new Random(9);
  const draw = (length: number, deviation: number) =>
    random.fillNormal(new Float32Array(length), deviation);
  const weights = {
    encoderRows: draw(dSae * dIn, 0.5),
    decoder: draw(dSae * dIn, 0.3),
    encoderBias: draw(dSae, 0.1).map((value, latent) => (latent === silent ? -20 : value)),
    decoderBias: draw(dIn, 0.1),
  };
  return architecture === "topk"
    ? Sae.fromWeights(device, { architecture, dIn, dSae, k: 4 }, { ...weights, threshold: null })
    : Sae.fromWeights(
        device,
        { architecture, dIn, dSae },
        { ...weights, threshold: new Float32Array(dSae).fill(0.05) },
      );
}

/** The same SAE in ordinary operators of dense matrices. */
function denseCodec(sae: Sae): LatentCodec<Tensor> {
  return {
    encode(x) {
      const pre = linear(x, sae.encoderRows, sae.encoderBias);
      const zeros = device.zeros(pre.shape);
      if (sae.threshold !== null) return where(greater(pre, sae.threshold), pre, zeros);
      return where(greater(sparseToDense(encodeTopK(pre, 4)), 0), pre, zeros);
    },
    decode: (latents) => add(matmul(latents, sae.decoder), sae.decoderBias),
  };
}

/** What a run captures and its logits, on the host. */
async function read(edits: readonly SiteEdit[], capture: readonly string[]) {
  using run = model.run(tokens, { edits, capture });
  const values = new Map<string, Float32Array>();
  for (const [name, tensor] of run.captured) values.set(name, await tensor.floats());
  return {
    at: (name: string) => values.get(name) ?? new Float32Array(),
    logits: await run.logits?.floats(),
  };
}

describe.each(["jumprelu", "topk"] as const)("a %s SAE in a forward pass", (architecture) => {
  const sae = saes[architecture];

  it("gives what it reconstructs, whether somebody looks at the latents or not", async () => {
    const plain = await read([], [site]);
    using x = device.tensor(plain.at(site), [8, dIn]);
    using expected = sae.reconstruct(x);
    using latents = device.scope(() => sparseToDense(sae.encode(x)));
    const names = ["input", "acts_pre", "acts_post", "recons", "output"].map(inner);
    const unseen = await read([splice(site, sae)], [site]);
    const seen = await read([splice(site, sae)], [site, ...names]);
    const reconstruction = await expected.floats();
    expect(unseen.at(site)).toEqual(reconstruction);
    // Bounds: a sum of 20 products in f32, in another order.
    expect(seen.at(site)).toBeClose(reconstruction, { rtol: 1e-5, atol: 1e-6 });
    expect(seen.at(inner("acts_post"))).toEqual(await latents.floats());
    expect(seen.at(inner("acts_post")).some((value) => value > 0)).toBe(true);
    expect(seen.at(inner("acts_pre")).filter((value) => value < 0).length).toBeGreaterThan(0);
    expect(unseen.logits).not.toEqual(plain.logits);
    const exact = await read([splice(site, sae, { error: true })], [site]);
    expect(exact.at(site)).toBeClose(plain.at(site), { rtol: 1e-5, atol: 1e-6 });
  });

  it("lets a latent that is silent be made active", async () => {
    const plain = await read([splice(site, sae)], [site, inner("acts_post")]);
    const acts = plain.at(inner("acts_post"));
    expect(acts.every((value, place) => place % dSae !== silent || value === 0)).toBe(true);
    const vector = Float32Array.from({ length: dSae }, (_, index) => (index === silent ? 2 : 0));
    const edited = await read(
      [splice(site, sae), { site: inner("acts_post"), edit: addVector(vector) }],
      [site],
    );
    const { decoder } = await sae.weights();
    const expected = plain
      .at(site)
      .map((value, place) => value + 2 * (decoder[silent * dIn + (place % dIn)] ?? 0));
    expect(edited.at(site)).toBeClose(expected, { rtol: 1e-5, atol: 1e-5 });
  });

  it("has the gradients of the same SAE in dense operators: to its input and to every latent", async () => {
    const gradientsOf = (codec: LatentCodec, looked: boolean) =>
      device.scope(() => {
        const inputs = {
          x: randomNormal(device, [2, 4, dIn], new RandomKey(2)),
          latents: device.zeros([2, 4, dSae]),
        };
        return valueAndGrad<typeof inputs, [], Tensor>(({ x, latents }) => {
          const edits = [
            { site, edit: replaceWith(x) },
            splice(site, codec, { error: "constant" }),
            ...(looked
              ? [{ site: inner("acts_post"), edit: (value: Tensor) => add(value, latents) }]
              : []),
          ];
          const { logits } = model.run(tokens, { edits });
          if (logits === null) throw new Error("logits were asked for");
          // A run that leaves the latents alone has the gradient 0 to them.
          return add(sum(mul(logits, logits)), sum(mul(latents, 0)));
        })(inputs).gradients;
      });
    const readBoth = async ({ x, latents }: { x: Tensor; latents: Tensor }) => {
      const values = [await x.floats(), await latents.floats()] as const;
      x.dispose();
      latents.dispose();
      return values;
    };
    const [x, latents] = await readBoth(gradientsOf(sae, true));
    const [expectedX, expectedLatents] = await readBoth(gradientsOf(denseCodec(sae), true));
    const [unseenX] = await readBoth(gradientsOf(sae, false));
    expect(expectedX.some((value) => Math.abs(value) > 1e-3)).toBe(true);
    expect(expectedLatents.every((value) => value !== 0)).toBe(true);
    const tolerance = { rtol: 1e-4, atol: 1e-4 };
    expect(x).toBeClose(expectedX, tolerance);
    expect(latents).toBeClose(expectedLatents, tolerance);
    expect(unseenX).toBeClose(expectedX, tolerance);
  });
});

it("has gradients through a reconstruction by blocks of rows", async () => {
  const rows = 1030;
  expect(rowBlocks(rows, blockRowsFor(dSae)).length).toBe(2);
  const gradientOf = (reconstruct: (x: Tensor) => Tensor) =>
    device.scope(() => {
      const x = randomNormal(device, [rows, dIn], new RandomKey(6));
      return valueAndGrad<{ x: Tensor }, [], Tensor>(({ x: own }) => {
        const out = reconstruct(own);
        return sum(mul(out, out));
      })({ x }).gradients.x;
    });
  const sae = saes.jumprelu;
  using inBlocks = gradientOf((x) => sae.reconstruct(x));
  using atOnce = gradientOf((x) => sae.decode(sae.encode(x)));
  const expected = await atOnce.floats();
  expect(expected.subarray(1024 * dIn).some((value) => value !== 0)).toBe(true);
  expect(await inBlocks.floats()).toBeClose(expected, { rtol: 1e-5, atol: 1e-5 });
});

describe("splice of a transcoder", () => {
  const [from, to] = ["blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"];

  it("reads one site and replaces another", async () => {
    const plain = await read([], [from]);
    using x = device.tensor(plain.at(from), [8, dIn]);
    using expected = saes.topk.reconstruct(x);
    const run = await read([splice(to, saes.topk, { from })], [to]);
    expect(run.at(to)).toEqual(await expected.floats());
  });

  it("with a skip connection and another width decodes with what it read, as the hooks left it", async () => {
    const [target, dOut] = ["blocks.1.mlp.hook_post", 8];
    const random = new Random(3);
    const draw = (length: number) => random.fillNormal(new Float32Array(length), 0.4);
    using transcoder = Sae.fromWeights(
      device,
      { architecture: "topk", dIn, dOut, dSae, k: 3 },
      {
        encoderRows: draw(dSae * dIn),
        decoder: draw(dSae * dOut),
        encoderBias: draw(dSae),
        decoderBias: draw(dOut),
        threshold: null,
        skip: draw(dOut * dIn),
      },
    );
    const halved = { site: `${target}.hook_sae_input`, edit: scaleBy(0.5) };
    const plain = await read([], [from, target]);
    using expected = device.scope(() =>
      transcoder.reconstruct(mul(device.tensor(plain.at(from), [8, dIn]), 0.5)),
    );
    const edits = [splice(target, transcoder, { from }), halved];
    const unseen = await read(edits, [target]);
    expect(unseen.at(target)).toEqual(await expected.floats());
    const seen = await read(edits, [target, `${target}.hook_sae_acts_post`]);
    expect(seen.at(target)).toBeClose(unseen.at(target), { rtol: 1e-5, atol: 1e-6 });
    const exact = await read([splice(target, transcoder, { from, error: true })], [target]);
    expect(exact.at(target)).toBeClose(plain.at(target), { rtol: 1e-5, atol: 1e-5 });
  });
});
