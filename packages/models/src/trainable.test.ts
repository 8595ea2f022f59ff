import {
  add,
  clone,
  crossEntropy,
  mul,
  randomNormal,
  sum,
  type Tensor,
  valueAndGrad,
} from "@latentkit/tensor";
import { RandomKey } from "@latentkit/core";
import { afterEach, describe, expect, it } from "vitest";
import { deviation, openTiny, read, referenceDevice } from "./__fixtures__/support.ts";
import type { LanguageModel } from "./language-model.ts";
import { loadModel } from "./load-model.ts";
import { randomModel } from "./random-model.ts";

const device = referenceDevice();
const config = {
  layers: 2,
  dModel: 16,
  heads: 4,
  kvHeads: 2,
  dHead: 4,
  dMlp: 24,
  vocabulary: 30,
  contextSize: 16,
};
const tokens = [
  [3, 1, 4, 1, 5],
  [6, 5, 25, 8, 9],
];
const embedding = "model.embed_tokens.weight";

afterEach(() => expect(device.memory().liveBytes).toBe(0));

function lossOf(model: LanguageModel): Tensor {
  return device.scope(() => {
    const { logits } = model.run(tokens);
    const targets = device.tensor(Int32Array.of(1, 4, 1, 5, 9, 5, 25, 8, 9, 7), [10]);
    return crossEntropy((logits as Tensor).reshape([10, config.vocabulary]), targets, {
      reduction: "mean",
    });
  });
}

describe("trainableParameters", () => {
  it("are the tensors that run uses, a tied one once", () => {
    using tied = randomModel({ device, seed: 1, config });
    using untied = randomModel({ device, seed: 1, config: { ...config, tiedEmbeddings: false } });
    const names = Object.keys(tied.trainableParameters());
    expect(names).toHaveLength(2 + 9 * config.layers);
    expect(names).not.toContain("lm_head.weight");
    expect(tied.weight("lm_head.weight")).toBe(tied.weight(embedding));
    expect(Object.keys(untied.trainableParameters())).toEqual([...names, "lm_head.weight"]);
    expect(untied.trainableParameters()[embedding]).toBe(untied.weight(embedding));
  });

  it.each([true, false])("have the gradient of the loss, tied %s", async (tiedEmbeddings) => {
    using model = randomModel({ device, seed: 2, config: { ...config, tiedEmbeddings } });
    const parameters = model.trainableParameters();
    for (const name of [embedding, "model.layers.0.self_attn.k_proj.weight", "model.norm.weight"]) {
      const parameter = parameters[name] as Tensor;
      const [slope, ...moved] = device.scope(() => {
        const direction = randomNormal(device, parameter.shape, new RandomKey(7));
        const { gradients } = valueAndGrad<typeof parameters, [], Tensor>(() => lossOf(model))(
          parameters,
        );
        const at = (step: number) => {
          using view = model.withWeights(new Map([[name, add(parameter, mul(direction, step))]]));
          return lossOf(view);
        };
        const steps = [8e-3, -8e-3, 4e-3, -4e-3];
        return [sum(mul(gradients[name] as Tensor, direction)), ...steps.map(at)];
      });
      const [farUp = 0, farDown = 0, nearUp = 0, nearDown = 0] = await Promise.all(
        moved.map((loss) => loss.item()),
      );
      // Central differences of two steps, extrapolated to none (Richardson), so that only f32 rounding of the loss is left.
      const [far, near] = [(farUp - farDown) / 16e-3, (nearUp - nearDown) / 8e-3];
      const expected = (4 * near - far) / 3;
      const given = await slope.item();
      expect(Math.abs(given - expected), `${name}: ${given} and ${expected}`).toBeLessThan(
        1e-3 * Math.abs(expected) + 2e-4,
      );
      for (const tensor of [slope, ...moved]) tensor?.dispose();
    }
  });

  it("are refused where weights are kept as they were stored", async () => {
    using model = await loadModel(await openTiny("tiny-tied"), { device });
    expect(() => model.trainableParameters()).toThrow(
      expect.objectContaining({
        code: "WEIGHTS_STORED",
        fix: expect.stringContaining('weights: "f32"'),
      }),
    );
  });
});

describe("withWeights", () => {
  it("computes with the weights given, leaves the model as it is, and owns nothing but tables", async () => {
    using model = randomModel({ device, seed: 1, config });
    const other = randomModel({ device, seed: 2, config });
    const before = await read(model, tokens);
    const resting = device.memory().liveBytes;
    const view = model.withWeights(new Map(Object.entries(other.trainableParameters())));
    expect((await read(view, tokens)).logits).toEqual((await read(other, tokens)).logits);
    view.dispose();
    expect(device.memory().liveBytes).toBe(resting);
    other.dispose();
    expect((await read(model, tokens)).logits).toEqual(before.logits);
  });

  it("replaces a tied embedding at both ends, under either name", async () => {
    using model = randomModel({ device, seed: 1, config });
    using scaled = device.scope(() => mul(model.parameter(embedding), 2));
    const plain = await read(model, tokens);
    for (const name of [embedding, "lm_head.weight"]) {
      using view = model.withWeights(new Map([[name, scaled]]));
      expect(view.unembedding()).toBe(scaled);
      const { logits } = await read(view, tokens);
      // The stream is not normalised in between alone: twice the embedding is not twice the logits.
      expect(deviation(logits, plain.logits)).toBeGreaterThan(0.1);
      expect(view.weight(embedding)).toBe(scaled);
    }
  });

  it("gives gradients to what was put in, on a tape", async () => {
    using model = randomModel({ device, seed: 3, config });
    const name = "model.layers.1.mlp.up_proj.weight";
    const [own, put] = device.scope(() => {
      const copy = clone(model.parameter(name));
      const parameters = model.trainableParameters();
      const direct = valueAndGrad<typeof parameters, [], Tensor>(() => lossOf(model))(parameters);
      const through = valueAndGrad((weight: Tensor) => {
        using view = model.withWeights(new Map([[name, weight]]));
        return lossOf(view);
      })(copy);
      return [direct.gradients[name] as Tensor, through.gradients];
    });
    expect(await put.floats()).toEqual(await own.floats());
    own.dispose();
    put.dispose();
  });

  it("refuses names and shapes that the model does not have", () => {
    using model = randomModel({ device, seed: 1, config });
    using wrong = device.zeros([3, 16]);
    expect(() => model.withWeights(new Map([["W_E", wrong]]))).toThrow(
      expect.objectContaining({ code: "PARAMETER_UNKNOWN" }),
    );
    expect(() => model.withWeights(new Map([[embedding, wrong]]))).toThrow(
      /is \[3, 16\], and the model's is \[30, 16\]/u,
    );
  });
});

it("initialises for training: writers to the residual stream are smaller by sqrt(2 layers)", async () => {
  using even = randomModel({ device, seed: 1, config });
  using training = randomModel({ device, seed: 1, config, initialisation: "training" });
  for (const [name, tensor] of Object.entries(even.trainableParameters())) {
    const factor = /o_proj|down_proj/u.test(name) ? 1 / Math.sqrt(2 * config.layers) : 1;
    const expected = (await tensor.floats()).map((value) => value * factor);
    expect(deviation(await training.parameter(name).floats(), expected)).toBeLessThan(1e-6);
  }
  expect(training.identity().weightsHash).not.toBe(even.identity().weightsHash);
});
