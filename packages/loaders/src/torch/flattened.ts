import { PickledDict, PickledSequence, PickledTensor, type PickledValue } from "./pickle-values.ts";

/** A value that is no tensor and holds none. */
export type TorchScalar = boolean | number | string | null;

/** Nothing that holds tensors is nested deeper; what refers to itself is. */
const deepest = 32;
/** References to one dict or list from many places multiply. */
const mostVisits = 1_000_000;

/**
 * The tensors and scalars of nested dicts and lists, by paths joined with dots; a tensor that is the whole file is called `tensor`.
 * Throws what `fault` makes of a file that refers to itself.
 */
export function flattened(
  value: PickledValue,
  fault: (message: string) => Error,
): {
  readonly tensors: ReadonlyMap<string, PickledTensor>;
  readonly scalars: ReadonlyMap<string, TorchScalar>;
} {
  const tensors = new Map<string, PickledTensor>();
  const scalars = new Map<string, TorchScalar>();
  let visits = 0;
  const visit = (entry: PickledValue, path: readonly string[]): void => {
    if (path.length > deepest) throw fault("its entries are nested too deeply");
    if (++visits > mostVisits) throw fault(`it has more than ${mostVisits} entries`);
    if (entry instanceof PickledTensor) {
      const name = path.join(".") || "tensor";
      if (tensors.has(name)) throw fault(`two of its tensors are called "${name}"`);
      tensors.set(name, entry);
    } else if (entry instanceof PickledDict) {
      for (const [key, inner] of entry.entries) visit(inner, [...path, key]);
    } else if (entry instanceof PickledSequence) {
      for (const [index, inner] of entry.items.entries()) visit(inner, [...path, String(index)]);
    } else if (entry === null || typeof entry !== "object") {
      scalars.set(path.join("."), entry);
    }
  };
  visit(value, []);
  return { tensors, scalars };
}
