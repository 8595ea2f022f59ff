export { cholesky, choleskySolve, solveLower, solveUpper } from "./cholesky.ts";
export { leastSquares } from "./least-squares.ts";
export type { LeastSquaresOptions } from "./least-squares.ts";
export {
  fromTensor,
  identity,
  matrix,
  multiply,
  multiplyTransposed,
  toTensor,
  transpose,
} from "./matrix.ts";
export type { Matrix } from "./matrix.ts";
export { principalAngles } from "./principal-angles.ts";
export { orthonormalize, qr } from "./qr.ts";
export type { Qr } from "./qr.ts";
export { randomizedSvd } from "./randomized-svd.ts";
export type { RandomizedSvdOptions } from "./randomized-svd.ts";
export { svd } from "./svd.ts";
export type { Svd } from "./svd.ts";
export { symmetricEigen } from "./symmetric-eigen.ts";
export type { SymmetricEigen } from "./symmetric-eigen.ts";
