import { ConfigError, DTypeError, formatShape, MismatchError, sameShape } from "@latentkit/core";
import { clone, Tensor } from "@latentkit/tensor";
import type { Site, SiteTable } from "./sites.ts";

/** What an edit knows about the value it is given. */
export interface EditContext {
  readonly site: Site;
  /** The token ids of this call, one row per sequence. */
  readonly tokens: readonly ArrayLike<number>[];
  /** Context position of the first of them; more than 0 where a KV cache holds earlier ones. */
  readonly startPosition: number;
}

/**
 * Computes what takes a value's place: a tensor of the same shape, on the same device. It must not write into the value. Tensors
 * that it makes are freed by the run; one that it got from outside stays the caller's.
 */
export type EditFunction = (value: Tensor, context: EditContext) => Tensor;

/** A change to the forward pass at one site. Edits of one site are applied in order; a capture there sees their result. */
export interface SiteEdit {
  readonly site: string;
  readonly edit: EditFunction;
}

/** What a run wants from the sites it comes by. */
export interface HookRunOptions {
  readonly sites: SiteTable;
  readonly capture: readonly string[];
  readonly edits: readonly SiteEdit[];
  readonly tokens: readonly ArrayLike<number>[];
  readonly startPosition: number;
}

/** The captures and edits of one forward pass. Blocks hand it every value that has a site. */
export class HookRun {
  /** Captured so far, in forward order. */
  readonly captured: Map<string, Tensor> = new Map();
  readonly #options: HookRunOptions;
  readonly #capture: ReadonlySet<string>;
  readonly #edits = new Map<string, EditFunction[]>();
  /** Asked for and not yet come by. */
  readonly #pending: Set<string>;

  /** @throws ConfigError `SITE_UNKNOWN` before anything runs */
  constructor(options: HookRunOptions) {
    this.#options = options;
    this.#capture = new Set(options.capture.map((name) => options.sites.site(name).name));
    for (const { site, edit } of options.edits) {
      const { name } = options.sites.site(site);
      const earlier = this.#edits.get(name);
      if (earlier === undefined) this.#edits.set(name, [edit]);
      else earlier.push(edit);
    }
    this.#pending = new Set([...this.#capture, ...this.#edits.keys()]);
  }

  /** Whether any of these sites is captured or edited: if not, a fused kernel may skip over them. */
  wants(...names: readonly string[]): boolean {
    return names.some((name) => this.#pending.has(name));
  }

  /** Whether every site asked for has been passed: a run that needs no logits may stop here. */
  get finished(): boolean {
    return this.#pending.size === 0;
  }

  /**
   * Applies the site's edits, captures the result, and returns the value to go on with: the very tensor that was given where
   * there are no edits, else a new handle that the caller owns.
   */
  visit(name: string, value: Tensor): Tensor {
    if (!this.#pending.delete(name)) return value;
    const edits = this.#edits.get(name);
    const result = edits === undefined ? value : this.#edited(name, value, edits);
    if (this.#capture.has(name)) {
      // An edit may return a tensor of the caller's, who may write into it later; a value of ours is never written again.
      this.captured.set(name, edits === undefined ? view(result) : clone(result));
    }
    return result;
  }

  #edited(name: string, value: Tensor, edits: readonly EditFunction[]): Tensor {
    const site = this.#options.sites.site(name);
    const context: EditContext = {
      site,
      tokens: this.#options.tokens,
      startPosition: this.#options.startPosition,
    };
    return value.device.scope(() => {
      let result = value;
      for (const edit of edits) result = checkEdited(edit(result, context), result, name);
      return result === value ? value : view(result);
    });
  }
}

/** A second handle on the same elements, so that each can be disposed on its own. */
function view(tensor: Tensor): Tensor {
  return tensor.reshape(tensor.shape);
}

function checkEdited(result: unknown, value: Tensor, name: string): Tensor {
  if (!(result instanceof Tensor)) {
    throw new ConfigError({
      code: "EDIT_RESULT",
      message: `the edit of ${name} returned ${result instanceof Promise ? "a promise" : String(result)}, not a tensor`,
      fix: "return a tensor from the edit, synchronously",
      where: name,
    });
  }
  if (!sameShape(result.shape, value.shape)) {
    throw new MismatchError({
      code: "EDIT_SHAPE",
      message: `the edit of ${name} returned shape ${formatShape(result.shape)} for a value of shape ${formatShape(value.shape)}`,
      fix: "return a tensor of the shape that was given",
      where: name,
    });
  }
  if (result.dtype !== value.dtype) {
    throw new DTypeError({
      code: "EDIT_DTYPE",
      message: `the edit of ${name} returned ${result.dtype} for a value of ${value.dtype}`,
      fix: `convert the result to ${value.dtype}`,
      where: name,
    });
  }
  if (result.device !== value.device) {
    throw new MismatchError({
      code: "EDIT_DEVICE",
      message: `the edit of ${name} returned a tensor of another device`,
      fix: "make the tensor on model.device",
      where: name,
    });
  }
  return result;
}
