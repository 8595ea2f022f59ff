import { Random } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { Device } from "../device.ts";
import { mul, sub } from "../operators/arithmetic.ts";
import { linear } from "../operators/matmul.ts";
import { encodeTopK } from "../operators/sparse-encode.ts";
import { reluGradient } from "../operators/sparse-gradients.ts";
import {
  sparseDecode,
  sparseDot,
  sparseOuterAdd,
  sparseScatterAdd,
} from "../operators/sparse-products.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { registerMatchers } from "../testing/matchers.ts";
import { createReferenceBackend } from "./backend.ts";

registerMatchers(expect);

const [rows, columns, width, k] = [5, 4, 12, 3];

/** A TopK SAE's parameters and inputs, row-major. */
interface Parameters {
  readonly x: Float64Array;
  readonly encoder: Float64Array;
  readonly encoderBias: Float64Array;
  readonly decoder: Float64Array;
}

/** `sum ||x - decode(relu(topk(encode(x))))||^2`, written out densely in f64 without any kernel. */
function loss({ x, encoder, encoderBias, decoder }: Parameters): number {
  let total = 0;
  for (let row = 0; row < rows; row++) {
    const own = x.subarray(row * columns, (row + 1) * columns);
    const pre = Array.from({ length: width }, (_, latent) =>
      own.reduce(
        (sum, value, i) => sum + value * at(encoder, latent * columns + i),
        at(encoderBias, latent),
      ),
    );
    const kept = pre
      .map((value, latent) => ({ value, latent }))
      .sort((a, b) => b.value - a.value)
      .slice(0, k);
    for (const [i, value] of own.entries()) {
      const decoded = kept.reduce(
        (sum, entry) => sum + Math.max(entry.value, 0) * at(decoder, entry.latent * columns + i),
        0,
      );
      total += (value - decoded) ** 2;
    }
  }
  return total;
}

function at(array: Float64Array, index: number): number {
  return array[index] ?? Number.NaN;
}

/** Central differences in f64: the error is of the order of h^2. */
function finiteDifferences(parameters: Parameters, name: keyof Parameters): Float64Array {
  const h = 1e-5;
  return parameters[name].map((value, index) => {
    const moved = (by: number): number =>
      loss({ ...parameters, [name]: parameters[name].with(index, value + by) });
    return (moved(h) - moved(-h)) / (2 * h);
  });
}

/** f32 values, so that both sides start from the same numbers. */
function normals(random: Random, size: number): Float64Array {
  return Float64Array.from(random.fillNormal(new Float32Array(size)));
}

describe("gradients of ||x - decode(encode(x))||^2 against finite differences", () => {
  // Far enough from ties between latents that no step of h changes the k largest.
  const random = new Random(3);
  const parameters: Parameters = {
    x: normals(random, rows * columns),
    encoder: normals(random, width * columns),
    // Low enough that some of the k largest are negative, and ReLU has something to do.
    encoderBias: normals(random, width).map((value) => Math.fround(value - 1.5)),
    decoder: normals(random, width * columns),
  };

  it("sparseOuterAdd, sparseScatterAdd, sparseDot and reluGradient give the gradients of all parameters", async () => {
    const device = new Device(createReferenceBackend());
    const put = (name: keyof Parameters, shape: readonly number[]) =>
      device.tensor(Float32Array.from(parameters[name]), shape);
    const gradients = device.scope(() => {
      const [x, encoder, decoder] = [
        put("x", [rows, columns]),
        put("encoder", [width, columns]),
        put("decoder", [width, columns]),
      ];
      const encoded = encodeTopK(linear(x, encoder, put("encoderBias", [width])), k);
      const dReconstruction = mul(sub(sparseDecode(encoded, decoder, null), x), 2);
      const dPre = reluGradient(encoded, sparseDot(encoded, decoder, dReconstruction));
      const into = {
        encoder: device.zeros([width, columns]),
        encoderBias: device.zeros([width]),
        decoder: device.zeros([width, columns]),
      };
      sparseOuterAdd(encoded, dPre, x, into.encoder);
      sparseScatterAdd(encoded, dPre, into.encoderBias);
      sparseOuterAdd(encoded, encoded.values, dReconstruction, into.decoder);
      return into;
    });
    for (const name of ["encoder", "encoderBias", "decoder"] as const) {
      expect(await gradients[name].floats(), name).toBeClose(finiteDifferences(parameters, name), {
        rtol: 1e-5,
        atol: 2e-5,
      });
      gradients[name].dispose();
    }
    expectNoLeaks(device);
    device.dispose();
  });
});
