import { LatentkitError } from "@latentkit/core";

/** The code of the error that `run` throws; null for none. */
export function codeOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    return LatentkitError.isInstance(error) ? error.code : String(error);
  }
}
