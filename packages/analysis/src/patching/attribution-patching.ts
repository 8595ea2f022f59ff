import { ConfigError, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import { add, mul, stopGradient, sub, type Tensor, valueAndGrad } from "@latentkit/tensor";
import { capturedAt } from "../captured.ts";
import {
  normalised,
  patchAxes,
  type PatchedValue,
  type PatchPlace,
  patchPlaces,
  type PatchTable,
} from "./patch-places.ts";
import { checkPrompts, measure, type PatchingOptions } from "./prompts.ts";

/** Options of {@link attributionPatching}. */
export interface AttributionPatchingOptions extends PatchingOptions {
  /**
   * Integrated gradients (Sundararajan et al. 2017): the gradient's mean over this many points between the corrupt value of a site
   * and the clean one, site by site, each a run of its own. Where gradients vanish or turn on the way it is closer to activation
   * patching, and over all positions of a site it adds up to patching all of it. If left out, the gradient at the corrupt value: one
   * run for all sites.
   */
  readonly integratedSteps?: number | undefined;
}

/**
 * Attribution patching (Nanda 2023; Syed et al. 2023): the table of {@link activationPatching} to first order, from a clean run, a corrupt one
 * and its gradients, `metric(corrupt) + sum((clean - corrupt) * gradient)` over what the patch covers. Exact for a metric that is
 * linear in the site, and an approximation elsewhere: it misses what saturates.
 *
 * @throws as {@link activationPatching}, and ConfigError `PATCH_STEPS`; `LatentkitError` `AUTOGRAD_NO_DEPENDENCE` for a metric without
 *   gradient
 */
export async function attributionPatching(
  options: AttributionPatchingOptions,
): Promise<PatchTable> {
  const { model, clean, corrupt, metric, sites, logits = "last", signal, onProgress } = options;
  const steps = checkSteps(options.integratedSteps);
  const places = patchPlaces(model, sites, checkPrompts(options));
  const names = [...new Set(places.map(({ site }) => site))];
  throwIfAborted(signal, "nothing is kept");

  const runs = model.device.scope(() => {
    const source = model.run(clean, { capture: names, logits });
    const base = model.run(corrupt, { capture: names, logits });
    return {
      clean: source.captured,
      corrupt: base.captured,
      cleanMetric: measure(metric, source.logits),
      corruptMetric: measure(metric, base.logits),
    };
  });
  try {
    const cleanValue = await runs.cleanMetric.item();
    const corruptValue = await runs.corruptMetric.item();
    const groups = steps === null ? [names] : names.map((name) => [name]);
    const points =
      steps === null ? [0] : Array.from({ length: steps }, (_, k) => (k + 0.5) / steps);
    const effects = new Map<string, Effects>();
    for (const group of groups.filter(({ length }) => length > 0)) {
      throwIfAborted(signal, "nothing is kept");
      const products = model.device.scope(() => effectsOf(options, group, runs, points));
      for (const [site, product] of products) {
        // eslint-disable-next-line no-await-in-loop -- reads of one run
        const values = await product.floats();
        effects.set(site, new Effects(values, product.shape, patchAxes(model, site)));
        product.dispose();
      }
      onProgress?.({
        stage: "attribution patching",
        done: effects.size,
        total: names.length,
        unit: "sites",
      });
      // eslint-disable-next-line no-await-in-loop -- lets signals through
      await yieldToEventLoop();
    }
    const rows = places.map((place): PatchedValue => {
      const value = corruptValue + (effects.get(place.site)?.of(place) ?? Number.NaN);
      return { ...place, value, normalised: normalised(value, cleanValue, corruptValue) };
    });
    return { clean: cleanValue, corrupt: corruptValue, rows };
  } finally {
    runs.cleanMetric.dispose();
    runs.corruptMetric.dispose();
    for (const tensor of [...runs.clean.values(), ...runs.corrupt.values()]) tensor.dispose();
  }
}

interface Runs {
  readonly clean: ReadonlyMap<string, Tensor>;
  readonly corrupt: ReadonlyMap<string, Tensor>;
}

/** `(clean - corrupt) * gradient` at each site of the group, the gradient averaged over points between corrupt (0) and clean (1). */
function effectsOf(
  { model, corrupt, metric, logits = "last" }: AttributionPatchingOptions,
  group: readonly string[],
  runs: Runs,
  points: readonly number[],
): Map<string, Tensor> {
  const { device } = model;
  const difference = (site: string) =>
    sub(capturedAt(runs.clean, site), capturedAt(runs.corrupt, site));
  const gradientsAt = (point: number) =>
    device.scope(() => {
      const zeros = Object.fromEntries(
        group.map((site) => [site, device.zeros(capturedAt(runs.corrupt, site).shape)]),
      );
      const lossOf = (deltas: Readonly<Record<string, Tensor>>) =>
        device.scope(() => {
          const edits = Object.entries(deltas).map(([site, delta]) => ({
            site,
            edit: (value: Tensor) => {
              if (point === 0) return add(value, delta);
              const moved = add(value, mul(difference(site), point));
              return add(stopGradient(moved), delta);
            },
          }));
          return measure(metric, model.run(corrupt, { edits, logits }).logits);
        });
      return valueAndGrad<Record<string, Tensor>, [], Tensor>(lossOf)(zeros).gradients;
    });
  let total: Record<string, Tensor> = {};
  for (const point of points) {
    total = device.scope(() => {
      const found = gradientsAt(point);
      return Object.fromEntries(
        Object.entries(found).map(([site, gradient]) => {
          const before = total[site];
          return [site, before === undefined ? gradient : add(before, gradient)];
        }),
      );
    });
  }
  return new Map(
    Object.entries(total).map(([site, gradient]) => [
      site,
      mul(mul(difference(site), gradient), 1 / points.length),
    ]),
  );
}

/** `(clean - corrupt) * gradient` of a site, summed by position and head. */
class Effects {
  readonly #heads: number;
  readonly #cells: Float64Array;

  constructor(
    values: Float32Array,
    shape: readonly number[],
    axes: { readonly position: number | null; readonly head: number | null },
  ) {
    const indexAlong = (axis: number | null) => {
      const size = axis === null ? 1 : (shape[axis] ?? 1);
      const stride = shape.slice((axis ?? 0) + 1).reduce((product, one) => product * one, 1);
      return { size, of: (flat: number) => Math.floor(flat / stride) % size };
    };
    const position = indexAlong(axes.position);
    const head = indexAlong(axes.head);
    this.#heads = head.size;
    this.#cells = new Float64Array(position.size * head.size);
    for (const [flat, value] of values.entries()) {
      const cell = position.of(flat) * head.size + head.of(flat);
      this.#cells[cell] = (this.#cells[cell] ?? 0) + value;
    }
  }

  /** The sum over what a patch covers. */
  of({ position, head }: PatchPlace): number {
    return this.#cells.reduce((sum, value, cell) => {
      const own = cell % this.#heads;
      const covered =
        (head ?? own) === own && (position === null || position === (cell - own) / this.#heads);
      return covered ? sum + value : sum;
    }, 0);
  }
}

/** @throws ConfigError `PATCH_STEPS` */
function checkSteps(steps: number | undefined): number | null {
  if (steps === undefined) return null;
  if (Number.isSafeInteger(steps) && steps >= 1) return steps;
  throw new ConfigError({
    code: "PATCH_STEPS",
    message: `integratedSteps is ${steps}, not a positive integer`,
    fix: "give the number of points between corrupt and clean, for example 8, or leave it out",
  });
}
