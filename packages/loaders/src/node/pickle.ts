import { FormatError } from "@latentkit/core";
import { extname } from "node:path";

const endings: ReadonlySet<string> = new Set([".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"]);

/** Whether the name is that of a file which Python's pickle would have to read. */
export function isPickle(path: string): boolean {
  return endings.has(extname(path).toLowerCase());
}

/** Why such files are refused. */
export function pickleError(path: string): FormatError {
  return new FormatError({
    code: "PICKLE_REFUSED",
    message:
      "the weights are a Python pickle, which can run any program that its author put in, so it is never opened",
    fix: 'convert them in Python where you trust them: model.save_pretrained("folder", safe_serialization=True)',
    where: path,
  });
}
