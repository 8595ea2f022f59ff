import { LatentkitError } from "@latentkit/core";
import { expect, it } from "vitest";
import { valueAndGrad } from "../../autograd/grad.ts";
import { disposeTensors } from "../../autograd/nest.ts";
import { linear } from "../../operators/matmul.ts";
import { sub } from "../../operators/arithmetic.ts";
import { orthogonalise } from "../../operators/orthogonalise.ts";
import { mean } from "../../operators/reduce.ts";
import { square, tanh } from "../../operators/unary.ts";
import { clipByGlobalNorm, globalNorm } from "../../optimisers/clip.ts";
import { adam, adamW, sgd } from "../../optimisers/kinds.ts";
import { muon } from "../../optimisers/muon.ts";
import type { Optimiser } from "../../optimisers/optimiser.ts";
import { linearSchedule } from "../../optimisers/schedules.ts";
import { WeightAverage } from "../../optimisers/weight-average.ts";
import type { Tensor } from "../../tensor.ts";
// Made by oracles/tensor/optimise.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/optimise.json" with { type: "json" };
import { exact, type Suite } from "./agree.ts";
import { floatsOf, unpack } from "./packed.ts";

interface Weights {
  readonly weight: Tensor;
  readonly bias: Tensor;
}
type Case = (typeof goldens.cases)[keyof typeof goldens.cases];

function optimiserOf(weights: Weights, golden: Case): Optimiser<Weights> {
  const { kind, learningRate, momentum, nesterov, beta1, beta2, epsilon, weightDecay } = golden;
  const ofAdam = { learningRate, betas: [beta1, beta2], epsilon, weightDecay } as const;
  if (kind === "SGD") return sgd(weights, { learningRate, momentum, nesterov, weightDecay });
  if (kind === "Muon") {
    const rate = golden.rate === "adamW" ? "adamW" : "original";
    const groups = [{ match: /bias/, rule: "adamW" }] as const;
    return muon(weights, { ...ofAdam, momentum, nesterov, rate, groups });
  }
  return (kind === "AdamW" ? adamW : adam)(weights, ofAdam);
}

/** The code and the message of the error that `run` throws. */
function faultOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return LatentkitError.isInstance(error) ? `${error.code}: ${error.message}` : String(error);
  }
}

/** Optimisers: the kernels' own checks are in the suite of optimisation. */
export function optimiserSuite(suite: Suite): void {
  it.each(Object.entries(goldens.cases))(
    "%s goes PyTorch's way for twenty steps",
    async (_name, golden) => {
      const { device } = suite;
      const [x, y] = [unpack(device, goldens.inputs.x), unpack(device, goldens.inputs.y)];
      const weights = {
        weight: unpack(device, goldens.inputs.weight),
        bias: unpack(device, goldens.inputs.bias),
      };
      using optimiser = optimiserOf(weights, golden);
      const step = valueAndGrad(({ weight, bias }: Weights) =>
        mean(square(sub(tanh(linear(x, weight, bias)), y))),
      );
      const losses: number[] = [];
      const norms: number[] = [];
      for (let update = 0; update < 20; update++) {
        const { value, norm } = device.scope(() => {
          const { value: loss, gradients } = step(weights);
          const clipped =
            golden.maxNorm === null ? null : clipByGlobalNorm(gradients, golden.maxNorm);
          optimiser.step(gradients, { gradientScale: clipped?.scale });
          return { value: loss, norm: clipped?.norm ?? globalNorm(gradients) };
        });
        losses.push(await value.item());
        norms.push(await norm.item());
        disposeTensors([value, norm]);
      }
      expect(losses).toBeClose(floatsOf(golden.losses), { rtol: 5e-6, atol: 1e-7 });
      expect(norms).toBeClose(floatsOf(golden.norms), { rtol: 1e-4, atol: 1e-6 });
      expect(await weights.weight.floats()).toBeClose(floatsOf(golden.weight), {
        rtol: 1e-5,
        atol: 2e-6,
      });
      expect(await weights.bias.floats()).toBeClose(floatsOf(golden.bias), {
        rtol: 1e-5,
        atol: 2e-6,
      });
      disposeTensors([x, y, weights]);
    },
  );

  it("groups have settings of their own", async () => {
    const { device } = suite;
    const parameters = {
      norm: device.full([2], 1),
      layers: [device.full([2], 1), device.full([2], 1)],
    };
    const gradients = {
      norm: device.full([2], 1),
      layers: [device.full([2], 1), device.full([2], 1)],
    };
    using optimiser = sgd(parameters, {
      learningRate: 1,
      weightDecay: 1,
      schedule: linearSchedule({ updates: 2 }),
      groups: [
        { match: /norm/, weightDecay: 0 },
        { match: (name) => name === "layers.1", learningRate: 0.25, schedule: () => 2 },
      ],
    });
    expect(optimiser.learningRates()).toEqual({ norm: 1, "layers.0": 1, "layers.1": 0.5 });
    optimiser.step(gradients);
    expect(await parameters.norm.floats()).toBeClose([0, 0], exact);
    expect(await parameters.layers[0]?.floats()).toBeClose([-1, -1], exact);
    expect(await parameters.layers[1]?.floats()).toBeClose([0, 0], exact);
    expect(optimiser.learningRates()).toEqual({ norm: 0.5, "layers.0": 0.5, "layers.1": 0.5 });
    expect(optimiser.updates).toBe(1);
    disposeTensors([parameters, gradients]);
  });

  it("says what does not fit", () => {
    const { device } = suite;
    const parameters = { a: device.full([2], 1), b: device.full([3], 1) };
    const other = { a: device.full([2], 1), c: device.full([3], 1) };
    const turned = { a: device.full([3], 1), b: device.full([3], 1) };
    using optimiser = adam(parameters, { learningRate: 1 });
    expect(faultOf(() => adam(parameters, { learningRate: 1, groups: [{ match: /z/ }] }))).toMatch(
      /OPTIMISER_GROUP.*\/z\//,
    );
    expect(faultOf(() => adam(parameters, { learningRate: Number.NaN }))).toMatch(/VALUE_RANGE/);
    // What a program without types could do.
    const untyped = optimiser as unknown as Optimiser<unknown>;
    expect(faultOf(() => untyped.step(other))).toMatch(
      /PARAMETERS_NAMES: gradients .*lack "b" and have "c"/,
    );
    expect(faultOf(() => untyped.step(turned))).toMatch(
      /SHAPE_MISMATCH: gradients have "a" of shape \[3\]/,
    );
    const { json, tensors } = optimiser.state();
    const { "b/firstMoment": _, ...fewer } = tensors;
    expect(faultOf(() => optimiser.restore({ json, tensors: fewer }))).toMatch(
      /PARAMETERS_NAMES.*lack "b\/firstMoment"/,
    );
    expect(faultOf(() => optimiser.restore({ json: { ...json, kind: "adamW" }, tensors }))).toMatch(
      /OPTIMISER_STATE.*"adamW"/,
    );
    expect(faultOf(() => optimiser.restore({ json: { ...json, updates: -1 }, tensors }))).toMatch(
      /OPTIMISER_STATE/,
    );
    disposeTensors([parameters, other, turned]);
  });

  it("leaves out an update whose gradients are not finite", async () => {
    const { device } = suite;
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const parameters = { a: device.full([5], 1) };
      const gradients = { a: device.tensor([1, 2, bad, 4, 5], [5]) };
      for (const optimiser of [
        adamW(parameters, { learningRate: 1 }),
        sgd(parameters, { learningRate: 1, momentum: 0.9 }),
      ]) {
        const { norm, scale } = clipByGlobalNorm(gradients, 1);
        optimiser.step(gradients, { gradientScale: scale });
        expect(await parameters.a.floats()).toBeClose([1, 1, 1, 1, 1], exact);
        for (const tensor of Object.values(optimiser.state().tensors))
          expect(await tensor.floats()).toBeClose([0, 0, 0, 0, 0], exact);
        expect(await scale.item()).toBe(Number.NaN);
        disposeTensors([norm, scale]);
        optimiser.dispose();
      }
      disposeTensors([parameters, gradients]);
    }
  });

  it("orthogonalises: singular values near 1, singular vectors kept", async () => {
    const { device } = suite;
    // U diag(s) V^T of two rotations, so that the singular values are known.
    const [cos, sin] = [Math.cos(0.7), Math.sin(0.7)];
    const [u, v] = [
      [cos, -sin, sin, cos],
      [sin, cos, -cos, sin],
    ];
    for (const values of [
      [3, 0.1],
      [1e-3, 2e-4],
    ]) {
      const product = (a: number, b: number): number[] =>
        [0, 1].flatMap((row) =>
          [0, 1].map(
            (column) => u[2 * row]! * a * v[2 * column]! + u[2 * row + 1]! * b * v[2 * column + 1]!,
          ),
        );
      using x = device.tensor(product(values[0]!, values[1]!), [2, 2]);
      using made = orthogonalise(x);
      // What the iteration does to each singular value, in f64.
      const norm = Math.hypot(...values);
      const ends = values.map((value) => {
        let s = value / norm;
        for (let pass = 0; pass < 5; pass++) s = 3.4445 * s - 4.775 * s ** 3 + 2.0315 * s ** 5;
        return s;
      });
      for (const end of ends) expect(end).toSatisfy((s: number) => s > 0.6 && s < 1.25);
      expect(await made.floats()).toBeClose(product(ends[0]!, ends[1]!), {
        rtol: 1e-4,
        atol: 1e-5,
      });
    }
    using wide = device.tensor([1, 2, 3, 4, 5, 7], [2, 3]);
    using tall = device.tensor([1, 4, 2, 5, 3, 7], [3, 2]);
    using ofWide = orthogonalise(wide);
    using ofTall = orthogonalise(tall);
    const [w, t] = [await ofWide.floats(), await ofTall.floats()];
    expect([t[0], t[2], t[4], t[1], t[3], t[5]]).toBeClose([...w], { rtol: 1e-5, atol: 1e-6 });
    using zeros = device.zeros([2, 3]);
    using still = orthogonalise(zeros);
    expect(await still.floats()).toBeClose([0, 0, 0, 0, 0, 0], exact);
    using vector = device.full([3], 1);
    expect(faultOf(() => orthogonalise(vector))).toMatch(/SHAPE.*\[3\], expected a matrix/);
    expect(faultOf(() => orthogonalise(wide, { iterations: 0 }))).toMatch(/VALUE_RANGE/);
  });

  it("Muon is for matrices, and leaves out an update that is not finite", async () => {
    const { device } = suite;
    const parameters = { a: device.full([2, 2], 1), bias: device.full([2], 1) };
    expect(faultOf(() => muon(parameters, { learningRate: 1 }))).toMatch(
      /SHAPE.*"bias" of shape \[2\], expected a matrix/,
    );
    using optimiser = muon(parameters, {
      learningRate: 1,
      weightDecay: 0.5,
      groups: [{ match: /bias/, rule: "adamW" }],
    });
    expect(Object.keys(optimiser.state().tensors)).toEqual([
      "a/velocity",
      "bias/firstMoment",
      "bias/secondMoment",
    ]);
    const gradients = {
      a: device.tensor([1, Number.NaN, 0, 0], [2, 2]),
      bias: device.full([2], 1),
    };
    const { norm, scale } = clipByGlobalNorm(gradients, 1);
    optimiser.step(gradients, { gradientScale: scale });
    expect(await parameters.a.floats()).toBeClose([1, 1, 1, 1], exact);
    for (const tensor of Object.values(optimiser.state().tensors))
      for (const value of await tensor.floats()) expect(value).toBe(0);
    disposeTensors([norm, scale, parameters, gradients]);
  });

  it("clipping leaves small gradients as they are", async () => {
    const { device } = suite;
    const gradients = [device.tensor([3], [1]), device.tensor([0, 4], [2])];
    for (const [most, expected] of [
      [10, 1],
      [2.5, 0.5],
    ] as const) {
      const { norm, scale } = clipByGlobalNorm(gradients, most);
      expect(await norm.item()).toBe(5);
      expect([await scale.item()]).toBeClose([expected], { rtol: 1e-6, atol: 0 });
      disposeTensors([norm, scale]);
    }
    disposeTensors(gradients);
  });

  it("averages weights, plainly or with decay", async () => {
    const { device } = suite;
    const at = (value: number): { w: Tensor } => ({ w: device.full([3], value) });
    const [one, two, six] = [at(1), at(2), at(6)];
    using plain = new WeightAverage(one);
    using moving = new WeightAverage(one, { decay: 0.75 });
    for (const weights of [two, six]) {
      plain.add(weights);
      moving.add(weights);
    }
    expect(plain.count).toBe(3);
    expect(await plain.weights.w.floats()).toBeClose([3, 3, 3], { rtol: 1e-6, atol: 0 });
    expect(await moving.weights.w.floats()).toBeClose([2.4375, 2.4375, 2.4375], exact);
    // An average that was saved after two weights goes on as the third comes.
    using middle = device.full([3], 1.5);
    using resumed = new WeightAverage({ w: middle }, { count: 2 });
    resumed.add(six);
    expect(resumed.count).toBe(3);
    expect(await resumed.weights.w.floats()).toEqual(await plain.weights.w.floats());
    expect(faultOf(() => new WeightAverage(one, { count: 0 }))).toContain("VALUE_RANGE");
    disposeTensors([one, two, six]);
  });
}
