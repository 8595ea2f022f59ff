import { StoredWeight } from "./stored-weight.ts";
import { Tensor } from "./tensor.ts";

/** Method by which an object that owns tensors names them, so that a scope that returns the object keeps them alive. */
export const heldTensors: unique symbol = Symbol.for("latentkit.heldTensors");

/** An object that owns tensors, such as `SparseRows`. */
export interface TensorHolder {
  [heldTensors](): Iterable<Tensor | StoredWeight>;
}

/** What a scope frees: tensors and stored weights. */
export interface Scoped {
  /** The scope that frees it. @internal */
  owner: Scope | null;
  dispose(): void;
}

/** The tensors and stored weights made since a `Device.scope` began and still alive. */
export class Scope {
  readonly parent: Scope | null;
  readonly #tensors = new Set<Scoped>();

  constructor(parent: Scope | null) {
    this.parent = parent;
  }

  add(tensor: Scoped): void {
    this.#tensors.add(tensor);
    tensor.owner = this;
  }

  remove(tensor: Scoped): void {
    this.#tensors.delete(tensor);
    tensor.owner = null;
  }

  /** Frees all tensors of the scope but those inside `result`, which go to the parent scope or, without one, to the caller. */
  close(result: unknown): void {
    for (const tensor of tensorsIn(result)) {
      if (tensor.owner !== this) continue;
      this.remove(tensor);
      this.parent?.add(tensor);
    }
    this.free();
  }

  /** Frees all tensors of the scope. */
  free(): void {
    for (const tensor of this.#tensors) {
      // Cleared first, so that dispose does not come back to this set while it is walked.
      tensor.owner = null;
      tensor.dispose();
    }
    this.#tensors.clear();
  }
}

/** The tensors in a tensor, a holder, or arrays, maps, sets and plain objects of them, at any depth. */
function tensorsIn(root: unknown): Set<Scoped> {
  const found = new Set<Scoped>();
  const seen = new Set<object>();
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    if (value instanceof Tensor || value instanceof StoredWeight) {
      found.add(value);
      continue;
    }
    seen.add(value);
    if (isHolder(value)) pending.push(...value[heldTensors]());
    else if (Array.isArray(value) || value instanceof Set)
      for (const item of value) pending.push(item);
    else if (value instanceof Map) for (const item of value.values()) pending.push(item);
    else if (isPlain(value)) for (const item of Object.values(value)) pending.push(item);
  }
  return found;
}

function isHolder(value: object): value is TensorHolder {
  return heldTensors in value;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
