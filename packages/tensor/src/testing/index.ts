export { compareClose, ulpDistance } from "./close.ts";
export type { Comparison, Numbers, Tolerance } from "./close.ts";
export { kernelSuite } from "./kernel-suite.ts";
export { expectNoLeaks } from "./leaks.ts";
export { registerMatchers } from "./matchers.ts";
export type { ExtendableExpect, LatentkitMatchers } from "./matchers.ts";
export { trainingCurveGolden } from "./training-curve-golden.ts";
export type { GoldenCurve, GoldenTensor, TrainingCurveGolden } from "./training-curve-golden.ts";
