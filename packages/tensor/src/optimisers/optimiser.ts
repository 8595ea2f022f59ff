import { ConfigError, MismatchError } from "@latentkit/core";
import {
  deviceOf,
  type NamedTensor,
  requireNames,
  requireSame,
  tensorsLike,
  tensorsOf,
} from "../autograd/nest.ts";
import { noGrad } from "../autograd/stop.ts";
import { requireValue } from "../checks.ts";
import type { Device } from "../device.ts";
import type { StepOptions } from "../operators/optimise.ts";
import type { Tensor } from "../tensor.ts";
import { constantSchedule, type Schedule } from "./schedules.ts";

/** What every optimiser is told, and each group may be told otherwise. */
export interface RateSettings {
  readonly learningRate: number;
  /** Factor of the learning rate by update; constant by default. */
  readonly schedule?: Schedule | undefined;
}

/** Parameters with settings of their own. */
export type ParameterGroup<Settings> = Partial<Settings> & {
  /** Which parameters, by name (`layers.0.norm`). The first group that matches has it. */
  readonly match: RegExp | ((name: string, parameter: Tensor) => boolean);
};

/** Settings for all parameters, and groups that differ. */
export type OptimiserOptions<Settings> = Settings & {
  readonly groups?: readonly ParameterGroup<Settings>[] | undefined;
};

/** All that an optimiser remembers, see {@link Optimiser.state}. */
export interface OptimiserState {
  /** Plain JSON. */
  readonly json: {
    readonly schemaVersion: 1;
    /** `"sgd"`, `"adam"`, `"adamW"`, `"muon"`. */
    readonly kind: string;
    /** Updates made. */
    readonly updates: number;
  };
  /** By `PARAMETER/SLOT`, for example `layers.0.query/secondMoment`. f32, of the parameter's shape. */
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** What one kind of optimiser does to one parameter. */
export interface UpdateRule<Settings> {
  readonly kind: string;
  /** Names of the tensors of the parameter's shape that it keeps. */
  readonly slots: (settings: Settings, name: string, parameter: Tensor) => readonly string[];
  readonly update: (update: ParameterUpdate<Settings>) => void;
}

/** One update of one parameter. */
export interface ParameterUpdate<Settings> {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly slots: Readonly<Record<string, Tensor>>;
  readonly settings: Settings;
  /** With the schedule's factor in it. */
  readonly learningRate: number;
  /** 1 for the first update. */
  readonly step: number;
  readonly options: StepOptions;
}

interface Managed<Settings> extends NamedTensor {
  readonly settings: Settings;
  readonly slots: Readonly<Record<string, Tensor>>;
}

/**
 * Parameters, what is remembered of their gradients (f32, on the device), and the rule that changes them in place. Made by `sgd`,
 * `adam`, `adamW` and `muon`. It owns its state, and not the parameters.
 */
export class Optimiser<
  Parameters,
  Settings extends RateSettings = RateSettings,
> implements Disposable {
  readonly #rule: UpdateRule<Settings>;
  readonly #device: Device;
  readonly #managed: readonly Managed<Settings>[];
  #updates = 0;

  /** Throws `ConfigError` `OPTIMISER_GROUP` for a group that no parameter matches, and what `tensorsOf` throws. */
  constructor(
    rule: UpdateRule<Settings>,
    parameters: Parameters,
    { groups = [], ...settings }: OptimiserOptions<Settings>,
  ) {
    this.#rule = rule;
    const named = tensorsOf(parameters);
    this.#device = deviceOf(named, "parameters");
    // What remains of the options without the groups.
    const own = settings as unknown as Settings;
    const used = new Set<ParameterGroup<Settings>>();
    const chosen = named.map(({ name, tensor }) => {
      const group = groups.find((candidate) => matches(candidate, name, tensor));
      if (group === undefined) return own;
      used.add(group);
      return withoutMissing(own, group);
    });
    for (const [index, group] of groups.entries()) {
      if (used.has(group)) continue;
      throw new ConfigError({
        code: "OPTIMISER_GROUP",
        message: `group ${index} (${String(group.match)}) matches none of the ${named.length} parameters, for example "${named[0]?.name ?? ""}", that earlier groups leave`,
        fix: "match the names of parameters as they stand in the nest, joined by dots",
      });
    }
    for (const { learningRate } of [own, ...chosen])
      requireValue(
        Number.isFinite(learningRate),
        rule.kind,
        "learningRate",
        learningRate,
        "a finite number",
      );
    // Names first: what the rule refuses throws before anything is allocated.
    const slotNames = named.map(({ name, tensor }, index) =>
      rule.slots(chosen[index] ?? own, name, tensor),
    );
    this.#managed = named.map(({ name, tensor }, index) => {
      const slots = (slotNames[index] ?? []).map((slot) => [
        slot,
        this.#device.keep(this.#device.zeros(tensor.shape)),
      ]);
      const itsSettings = chosen[index] ?? own;
      return { name, tensor, settings: itsSettings, slots: Object.fromEntries(slots) };
    });
  }

  /** Updates made so far. */
  get updates(): number {
    return this.#updates;
  }

  /** Learning rate of the next update, of each parameter by name. */
  learningRates(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      this.#managed.map(({ name, settings }) => [name, rateOf(settings, this.#updates)]),
    );
  }

  /**
   * Changes all parameters in place by one update. The gradients have the structure and names of the parameters and stay the
   * caller's. With a `gradientScale` of NaN (`clipByGlobalNorm` of gradients that are not finite) the update is counted but changes nothing.
   */
  step(gradients: Parameters, options: StepOptions = {}): void {
    const given = tensorsLike(gradients, this.#managed, "gradients");
    noGrad(this.#device, () => {
      for (const [index, { tensor, settings, slots }] of this.#managed.entries()) {
        const gradient = given[index];
        if (gradient === undefined) continue;
        const learningRate = rateOf(settings, this.#updates);
        const step = this.#updates + 1;
        this.#rule.update({
          parameter: tensor,
          gradient,
          slots,
          settings,
          learningRate,
          step,
          options,
        });
      }
    });
    this.#updates++;
  }

  /**
   * All that it remembers. The tensors are the optimiser's own, not copies: read them before the next step, and do not dispose them.
   * Together with the parameters and the random keys this continues a run bit for bit.
   */
  state(): OptimiserState {
    const tensors: Record<string, Tensor> = {};
    for (const { name, slots } of this.#managed)
      for (const [slot, tensor] of Object.entries(slots)) tensors[`${name}/${slot}`] = tensor;
    return { json: { schemaVersion: 1, kind: this.#rule.kind, updates: this.#updates }, tensors };
  }

  /**
   * Goes on from a saved state; its tensors, on this device, are copied. Settings, schedules and groups are not part of it: make the
   * optimiser with the same ones.
   *
   * Throws `MismatchError` `OPTIMISER_STATE` for another kind of optimiser or a version that this one does not know, `ConfigError`
   * `PARAMETERS_NAMES` naming tensors that are missing or too many, `ShapeError` for another shape. Nothing is changed then.
   */
  restore({ json, tensors }: OptimiserState): void {
    const { kind } = this.#rule;
    const version: number = json.schemaVersion;
    if (
      json.kind !== kind ||
      version !== 1 ||
      !Number.isInteger(json.updates) ||
      json.updates < 0
    ) {
      throw new MismatchError({
        code: "OPTIMISER_STATE",
        message: `the state is of "${json.kind}" in version ${version} after ${json.updates} updates, expected one of "${kind}" in version 1`,
        fix: `restore a state that ${kind} gave`,
      });
    }
    const own = this.state().tensors;
    requireNames("the tensors of the state", Object.keys(tensors), Object.keys(own));
    const pairs = Object.entries(own).map(([name, target]) => {
      const source = tensors[name] ?? target;
      requireSame("the tensors of the state", name, source, target);
      return { source, target };
    });
    for (const { source, target } of pairs)
      if (target.size > 0) this.#device.backend.kernels.convert(source.slice, target.slice);
    this.#updates = json.updates;
  }

  /** Frees the state. */
  dispose(): void {
    for (const { slots } of this.#managed) for (const slot of Object.values(slots)) slot.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function rateOf(
  { learningRate, schedule = constantSchedule() }: RateSettings,
  update: number,
): number {
  return learningRate * schedule(update);
}

function matches<Settings>(
  { match }: ParameterGroup<Settings>,
  name: string,
  parameter: Tensor,
): boolean {
  return match instanceof RegExp ? match.test(name) : match(name, parameter);
}

/** The settings with those of a group in their place; what the group leaves undefined stays. */
function withoutMissing<Settings extends object>(
  own: Settings,
  group: Partial<Settings>,
): Settings {
  const given = Object.entries(group).filter(
    ([name, value]) => name !== "match" && value !== undefined,
  );
  return { ...own, ...Object.fromEntries(given) };
}
