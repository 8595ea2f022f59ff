import { LatentkitError } from "@latentkit/core";
import { readFileSync } from "node:fs";

/** The bytes of a fixture. */
export function loadBytes(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(name, import.meta.url)));
}

/** The JSON of a fixture, as the type that its script promises. */
export function loadJson<T>(name: string): T {
  // The scripts in oracles/ write these files; a wrong shape fails the test that reads it.
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
}

/** What a call throws, or rejects with; fails unless that is a Latentkit error with something to do about it. */
export async function errorOf(call: () => unknown): Promise<LatentkitError> {
  try {
    await call();
  } catch (error) {
    if (!LatentkitError.isInstance(error)) throw error;
    if (error.message === "" || error.fix === "") throw new RangeError(`the error ${error.code} says too little`);
    return error;
  }
  throw new RangeError("nothing was thrown");
}
