import { ConfigError, DTypeError, formatShape, MismatchError, sameShape } from "@latentkit/core";
import { clone, Tensor } from "@latentkit/tensor";
import type { BatchRow } from "./batch.ts";
import type { Site, SiteTable } from "./sites.ts";

/** What an edit knows about the value it is given. */
export interface EditContext {
  readonly site: Site;
  /** The token ids of this call, one row per sequence. */
  readonly tokens: readonly ArrayLike<number>[];
  /** Context position of the first of them; more than 0 where a KV cache holds earlier ones. With padding, see `rows`. */
  readonly startPosition: number;
  /** The same by row, with where its tokens lie on the `pos` axis. */
  readonly rows: readonly BatchRow[];
  /** Whether any of these inner sites of this edit, such as `"hook_sae_acts_post"`, is captured or edited. */
  wants(...inner: readonly string[]): boolean;
  /** Shows the hooks a value `[batch, pos, ..]` of an inner site and returns what to go on with. */
  visit(inner: string, value: Tensor): Tensor;
  /**
   * The value of a site that the edit `reads`, as it went on from there. The run's own.
   *
   * @throws ConfigError `EDIT_READS` for a site that was not named, or comes later
   */
  read(site: string): Tensor;
}

/**
 * Computes what takes a value's place: a tensor of the same shape, on the same device. It must not write into the value. Tensors
 * that it makes are freed by the run; one that it got from outside stays the caller's. What is computed by operators has gradients.
 */
export type EditFunction = (value: Tensor, context: EditContext) => Tensor;

/**
 * A change to the forward pass at one site. Edits of one site are applied in the order of the list, each to the result of the one
 * before it, and a capture there sees the last result. Edits at inner sites of an edit are applied where that edit comes by them.
 */
export interface SiteEdit {
  readonly site: string;
  readonly edit: EditFunction;
  /** Sites inside of it, which it shows by `context.visit` when `context.wants` them: `SITE.NAME` can be captured and edited. */
  readonly innerSites?: readonly string[] | undefined;
  /** Earlier sites whose values it asks for by `context.read`. */
  readonly reads?: readonly string[] | undefined;
}

/** What a run wants from the sites it comes by. */
export interface HookRunOptions {
  readonly sites: SiteTable;
  readonly capture: readonly string[];
  readonly edits: readonly SiteEdit[];
  readonly tokens: readonly ArrayLike<number>[];
  readonly startPosition: number;
  readonly rows: readonly BatchRow[];
}

/** The captures and edits of one forward pass. Blocks hand it every value that has a site. */
export class HookRun implements Disposable {
  /** Captured so far, in forward order. */
  readonly captured: Map<string, Tensor> = new Map();
  readonly #options: HookRunOptions;
  readonly #capture: ReadonlySet<string>;
  readonly #edits = new Map<string, SiteEdit[]>();
  /** By the name of an inner site, the site that it is inside of. */
  readonly #inner: ReadonlyMap<string, Site>;
  readonly #reads: ReadonlySet<string>;
  /** Values that edits may read. */
  readonly #kept = new Map<string, Tensor>();
  /** Asked for and not yet come by. */
  readonly #pending: Set<string>;

  /** @throws ConfigError `SITE_UNKNOWN`, `SITE_TAKEN` before anything runs */
  constructor(options: HookRunOptions) {
    this.#options = options;
    this.#inner = innerSites(options);
    const known = (name: string) => (this.#inner.has(name) ? name : options.sites.site(name).name);
    this.#capture = new Set(options.capture.map(known));
    this.#reads = new Set(options.edits.flatMap(({ reads = [] }) => reads.map(known)));
    for (const edit of options.edits) {
      const name = known(edit.site);
      const earlier = this.#edits.get(name);
      if (earlier === undefined) this.#edits.set(name, [edit]);
      else earlier.push(edit);
    }
    this.#pending = new Set([...this.#capture, ...this.#reads, ...this.#edits.keys()]);
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
    if (this.#reads.has(name)) this.#kept.set(name, result.device.keep(view(result)));
    return result;
  }

  /** Frees what was kept for edits to read. */
  [Symbol.dispose](): void {
    for (const tensor of this.#kept.values()) tensor.dispose();
    this.#kept.clear();
  }

  #edited(name: string, value: Tensor, edits: readonly SiteEdit[]): Tensor {
    const context = this.#context(name, value);
    // Inner sites may have been captured meanwhile.
    const [edited] = value.device.scope(() => {
      let result = value;
      for (const { edit } of edits) result = checkEdited(edit(result, context), result, name);
      return [result === value ? value : view(result), this.captured] as const;
    });
    return edited;
  }

  #context(name: string, value: Tensor): EditContext {
    const { tokens, startPosition, rows } = this.#options;
    return {
      site: this.#siteOf(name, value),
      tokens,
      startPosition,
      rows,
      wants: (...inner) => this.wants(...inner.map((one) => `${name}.${one}`)),
      visit: (inner, found) => this.visit(`${name}.${inner}`, found),
      read: (site) => {
        const kept = this.#kept.get(site);
        if (kept !== undefined) return kept;
        throw new ConfigError({
          code: "EDIT_READS",
          message: `the edit of ${name} reads ${site}, which ${this.#reads.has(site) ? "comes after it" : "no edit says that it reads"}`,
          fix: "name an earlier site in the edit's `reads`",
          where: name,
        });
      },
    };
  }

  /** Inner sites have the size that their values turn out to have. */
  #siteOf(name: string, value: Tensor): Site {
    const around = this.#inner.get(name);
    if (around === undefined) return this.#options.sites.site(name);
    const features = value.shape.slice(2);
    return {
      name,
      layer: around.layer,
      shape: ["batch", "pos", ...features.map(String)],
      width: features.reduce((product, count) => product * count, 1),
    };
  }
}

function innerSites({ edits, sites }: HookRunOptions): ReadonlyMap<string, Site> {
  const found = new Map<string, Site>();
  for (const { site, innerSites: inner = [] } of edits) {
    for (const name of inner.map((one) => `${site}.${one}`)) {
      if (found.has(name)) {
        throw new ConfigError({
          code: "SITE_TAKEN",
          message: `two edits of ${site} have a site ${name} inside of them`,
          fix: "splice one of them at another site, or both as one",
          where: site,
        });
      }
      found.set(name, sites.site(site));
    }
  }
  return found;
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
