import { noGrad } from "../autograd/stop.ts";
import { floats, requireValue, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { div, maximum, mul } from "./arithmetic.ts";
import { addMatmul, matmul } from "./matmul.ts";
import { norm } from "./reduce.ts";
import { formatShape } from "@latentkit/core";

/** Options of {@link orthogonalise}. */
export interface OrthogonaliseOptions {
  /** Passes of the iteration; 5 by default. */
  readonly iterations?: number | undefined;
}

/** Of the quintic `a x + b x^3 + c x^5`, as the Muon optimiser has them: as steep at 0 as it can be without leaving [0.68, 1.21]. */
const [a, b, c] = [3.4445, -4.775, 2.0315] as const;

/**
 * Brings the singular values of a matrix near 1 and leaves its singular vectors: an approximation of `U V^T` for `x = U S V^T`,
 * by Newton-Schulz iterations `X <- a X + (b X X^T + c (X X^T)^2) X` on `x / |x|` (Jordan et al., 2024, "Muon"). Five of them put
 * singular values of at least about 1/500 of the Frobenius norm between 0.68 and 1.21; smaller ones end lower, and a matrix of
 * zeros stays. f32 [rows, columns], of the same shape.
 *
 * No gradient flows through it. Throws `ShapeError` unless x is a matrix, `ConfigError` `VALUE_RANGE` for the iterations,
 * `DTypeError` unless it is f32.
 */
export function orthogonalise(x: Tensor, { iterations = 5 }: OrthogonaliseOptions = {}): Tensor {
  floats("orthogonalise", x);
  requireValue(
    Number.isInteger(iterations) && iterations >= 1,
    "orthogonalise",
    "iterations",
    iterations,
    "an integer of at least 1",
  );
  const [rows = 0, columns = 0] = x.shape;
  if (x.shape.length !== 2) {
    throw shapeError(
      "orthogonalise",
      `a tensor of shape ${formatShape(x.shape)}, expected a matrix`,
      "reshape it to [rows, columns]",
    );
  }
  const { device } = x;
  return noGrad(device, () =>
    device.scope(() => {
      let current = div(x, maximum(norm(x), 1e-7));
      for (let pass = 0; pass < iterations; pass++) {
        current = device.scope(() => iterate(current, rows > columns));
      }
      return current;
    }),
  );
}

/** One iteration; the Gram matrix is the smaller of the two. */
function iterate(x: Tensor, tall: boolean): Tensor {
  const gram = tall ? matmul(x, x, { transposeA: true }) : matmul(x, x, { transposeB: true });
  const polynomial = mul(gram, b);
  addMatmul(polynomial, gram, gram, { alpha: c });
  const result = mul(x, a);
  if (tall) addMatmul(result, x, polynomial);
  else addMatmul(result, polynomial, x);
  return result;
}
