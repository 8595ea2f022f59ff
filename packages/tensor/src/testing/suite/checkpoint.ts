import { RandomKey } from "@latentkit/core";
import { expect, it } from "vitest";
import { checkpoint } from "../../autograd/checkpoint.ts";
import { custom } from "../../autograd/custom.ts";
import { grad, valueAndGrad } from "../../autograd/grad.ts";
import { disposeTensors } from "../../autograd/nest.ts";
import { add, mul } from "../../operators/arithmetic.ts";
import { linear } from "../../operators/matmul.ts";
import { dropout } from "../../operators/random.ts";
import { mean, sum } from "../../operators/reduce.ts";
import { exp, silu, square, tanh } from "../../operators/unary.ts";
import type { Tensor } from "../../tensor.ts";
import { Inputs, type Suite } from "./agree.ts";
import { codeOf } from "./code-of.ts";

/** Computing again in the backward pass what was not kept. */
export function checkpointSuite(suite: Suite): void {
  it("checkpoint gives the same bits, of inputs and of weights that it reads", async () => {
    const run = (checkpointed: boolean): Promise<Float32Array[]> => {
      const inputs = new Inputs(suite.device, 5);
      const { device } = suite;
      const results = device.scope(() => {
        const x = inputs.normal([6, 8]);
        const layers = [0, 1, 2].map(() => ({
          weight: inputs.normal([8, 8], 0.4),
          bias: inputs.normal([8]),
        }));
        const both = valueAndGrad((given: { x: Tensor; layers: typeof layers }) => {
          let stream = given.x;
          for (const { weight, bias } of given.layers) {
            const layer = (hidden: Tensor): { next: Tensor; extra: Tensor } => {
              const wide = silu(linear(hidden, weight, bias));
              return { next: add(hidden, wide), extra: wide };
            };
            const { next, extra } = checkpointed ? checkpoint(layer, stream) : layer(stream);
            stream = add(next, mul(extra, 0.5));
          }
          return mean(square(stream));
        });
        const { value, gradients } = both({ x, layers });
        return [
          value,
          gradients.x,
          ...gradients.layers.flatMap(({ weight, bias }) => [weight, bias]),
        ];
      });
      const read = Promise.all(results.map((result) => result.floats()));
      disposeTensors(results);
      return read;
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("checkpoint needs less memory at the peak", () => {
    const { device } = suite;
    const depth = 12;
    // What is alive at most beside the parameters, looked at when each layer ends and in the middle of each gradient.
    const peak = (checkpointed: boolean): number => {
      let most = 0;
      const look = (): void => {
        most = Math.max(most, device.memory().liveBytes);
      };
      const spy = custom({
        forward: (x: Tensor) => x,
        backward: (gradient) => {
          look();
          return [gradient];
        },
      });
      device.scope(() => {
        const x = new Inputs(device, 6).normal([64, 64], 0.1);
        const before = device.memory().liveBytes;
        grad((given: Tensor) => {
          let stream = given;
          const layer = (hidden: Tensor): Tensor =>
            device.scope(() => spy(exp(tanh(square(silu(hidden))))));
          for (let index = 0; index < depth; index++) {
            stream = checkpointed ? checkpoint(layer, stream) : layer(stream);
            look();
          }
          return mean(stream);
        })(x);
        most -= before;
      });
      return most;
    };
    const tensor = 64 * 64 * 4;
    const [plain, less] = [peak(false), peak(true)];
    expect(plain).toBeGreaterThan(3 * depth * tensor);
    // One saved tensor for each layer, and one layer's intermediates.
    expect(less).toBeLessThan((depth + 12) * tensor);
  });

  it("checkpoint says what it misses", () => {
    const { device } = suite;
    using x = device.full([2], 1);
    expect(
      codeOf(() =>
        grad((given: Tensor) => {
          const factor = device.full([2], 3);
          const out = checkpoint((inner: Tensor) => mul(inner, factor), given);
          factor.dispose();
          return sum(out);
        })(x),
      ),
    ).toBe("AUTOGRAD_CHECKPOINT");
    expect(
      codeOf(() => grad((given: Tensor) => sum(checkpoint((inner: Tensor) => inner, given)))(x)),
    ).toBe("AUTOGRAD_CHECKPOINT");
  });

  it("checkpoint drops the same elements again", async () => {
    const { device } = suite;
    using x = device.scope(() => new Inputs(device, 8).normal([40, 10]));
    const layer = (given: Tensor): Tensor =>
      square(dropout(given, { rate: 0.5, key: new RandomKey(9) }));
    using plain = grad((given: Tensor) => sum(layer(given)))(x);
    using again = grad((given: Tensor) => sum(checkpoint(layer, given)))(x);
    expect(await again.floats()).toEqual(await plain.floats());
    expect((await again.floats()).some((value) => value === 0)).toBe(true);
  });

  it("checkpoints nest", async () => {
    const { device } = suite;
    using x = device.tensor([0.5, -1], [2]);
    const inner = (given: Tensor): Tensor => checkpoint((y: Tensor) => exp(square(y)), given);
    using nested = grad((given: Tensor) => sum(checkpoint((y: Tensor) => mul(inner(y), y), given)))(
      x,
    );
    using plain = grad((given: Tensor) => sum(mul(exp(square(given)), given)))(x);
    expect(await nested.floats()).toEqual(await plain.floats());
  });
}
