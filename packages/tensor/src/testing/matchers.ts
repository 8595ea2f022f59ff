import { compareClose, type Numbers, type Tolerance } from "./close.ts";

/** What {@link registerMatchers} adds to `expect`. */
export interface LatentkitMatchers<R = unknown> {
  /**
   * The numbers are close, element by element: `|actual - expected| <= atol + rtol * |expected|`. Lengths are compared first;
   * NaN equals only NaN. Both tolerances are mandatory.
   */
  toBeClose(expected: Numbers, tolerance: Tolerance): R;
}

interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
}

/** The part of vitest's (or Jest's) `expect` that {@link registerMatchers} uses. */
export interface ExtendableExpect {
  extend(
    matchers: Record<
      string,
      (received: Numbers, expected: Numbers, tolerance: Tolerance) => MatcherResult
    >,
  ): void;
}

/** Adds `toBeClose` to vitest's `expect`. Call it once at the top of a test file; more calls do no harm. */
export function registerMatchers(expect: ExtendableExpect): void {
  expect.extend({
    toBeClose(received, expected, tolerance) {
      const { close, message } = compareClose(received, expected, tolerance);
      return {
        pass: close,
        message: () => (close ? `expected the numbers not to be close; ${message}` : message),
      };
    },
  });
}

declare module "vitest" {
  // The parameter's name and default have to repeat vitest's own.
  // oxlint-disable-next-line no-explicit-any, no-unused-vars
  interface Matchers<T = any> extends LatentkitMatchers<T> {}
}
