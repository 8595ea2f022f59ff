import { formatShape, MismatchError, Random, sameShape, ShapeError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { Device, Tensor } from "@latentkit/tensor";
import {
  type AdapterConfig,
  type AdapterConfigInput,
  adapterScale,
  parseAdapterConfig,
} from "./adapter-config.ts";
import { type AdaptedModule, adaptedModules, targetModulesOf } from "./targets.ts";

/** The two factors of one module's change. */
export interface LowRankPair {
  /** `[rank, inputs]`. */
  readonly a: Tensor;
  /** `[outputs, rank]`. */
  readonly b: Tensor;
}

/** Factors by the module's Hugging Face name. */
export type AdapterParameters = Readonly<Record<string, LowRankPair>>;

/** Values of an adapter on the host, by module. */
export type AdapterValues = ReadonlyMap<
  string,
  { readonly a: Float32Array; readonly b: Float32Array }
>;

/** What an adapter needs to know of its model. */
export type AdaptedModel = Pick<LanguageModel, "config" | "device" | "name">;

/**
 * A low-rank adapter (LoRA, 2106.09685): for each adapted linear layer two thin matrices, whose product times {@link LoraAdapter.scale}
 * is added to the layer's weight. It holds only these; whoever made it disposes it.
 */
export class LoraAdapter implements Disposable {
  readonly config: AdapterConfig;
  readonly device: Device;
  /** The linear layers that it changes, in forward order. */
  readonly modules: readonly AdaptedModule[];
  /** The factors, as a nest that optimisers take. */
  readonly parameters: AdapterParameters;
  /** The factor of `B A`, see `adapterScale`. */
  readonly scale: number;

  /**
   * @param values the factors, copied to the model's device
   * @throws MismatchError `ADAPTER_MODULES` where modules are missing or too many; ShapeError `ADAPTER_SHAPE`
   */
  constructor(model: AdaptedModel, config: AdapterConfig, values: AdapterValues) {
    this.config = config;
    this.device = model.device;
    this.modules = adaptedModules(model.config, config.targetModules, config.layers);
    this.scale = adapterScale(config);
    requireModules(this.modules, values);
    const { device } = model;
    const { rank } = config;
    this.parameters = Object.fromEntries(
      this.modules.map(({ name, inputs, outputs }) => {
        const pair = values.get(name);
        const a = device.keep(device.tensor(pair?.a ?? [], [rank, inputs]));
        const b = device.keep(device.tensor(pair?.b ?? [], [outputs, rank]));
        return [name, { a, b }];
      }),
    );
  }

  /** Trainable numbers. */
  get size(): number {
    return this.modules.reduce(
      (sum, { inputs, outputs }) => sum + this.config.rank * (inputs + outputs),
      0,
    );
  }

  /** The factors of a module. Throws `MismatchError` `ADAPTER_MODULES` for one that is not adapted. */
  pair(name: string): LowRankPair {
    const pair = this.parameters[name];
    if (pair !== undefined) return pair;
    throw new MismatchError({
      code: "ADAPTER_MODULES",
      message: `the adapter does not change "${name}"`,
      fix: `use one of its modules, for example ${this.modules[0]?.name ?? ""}`,
      where: name,
    });
  }

  /** Reads all factors back. */
  async values(): Promise<AdapterValues> {
    const read = this.modules.map(async ({ name }) => {
      const { a, b } = this.pair(name);
      return [name, { a: await a.floats(), b: await b.floats() }] as const;
    });
    return new Map(await Promise.all(read));
  }

  dispose(): void {
    for (const { a, b } of Object.values(this.parameters)) {
      a.dispose();
      b.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Options of {@link createAdapter}. */
export interface CreateAdapterOptions extends AdapterConfigInput {
  readonly model: AdaptedModel;
  /** Of the values of A; each module's depend on the seed, its layer and its name alone. */
  readonly seed: number;
}

/**
 * A new adapter, as PEFT initialises it: A uniform in ±1 / sqrt(inputs) (Kaiming with a = sqrt 5), B zero, so that the model is
 * unchanged until the first step.
 *
 * @throws ConfigError `ADAPTER_CONFIG`, `ADAPTER_TARGETS`
 */
export function createAdapter({ model, seed, ...input }: CreateAdapterOptions): LoraAdapter {
  const { targetModules = targetModulesOf(model.config), baseModel = null } = input;
  const config = parseAdapterConfig({
    ...input,
    targetModules,
    baseModel: baseModel ?? model.name,
  });
  const all = adaptedModules(model.config, config.targetModules, config.layers);
  const values = new Map(
    all.map(({ name, inputs, outputs }) => {
      const random = new Random(seed, streamOf(name));
      const bound = 1 / Math.sqrt(inputs);
      const a = Float32Array.from(
        { length: config.rank * inputs },
        () => (2 * random.uniform() - 1) * bound,
      );
      return [name, { a, b: new Float32Array(outputs * config.rank) }] as const;
    }),
  );
  return new LoraAdapter(model, config, values);
}

/** 32 bits of a module's name (FNV-1a), so that its values do not depend on which other modules there are. */
function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++)
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

function requireModules(modules: readonly AdaptedModule[], values: AdapterValues): void {
  const wanted = new Set(modules.map(({ name }) => name));
  const missing = [...wanted].filter((name) => !values.has(name));
  const extra = [...values.keys()].filter((name) => !wanted.has(name));
  if (missing.length === 0 && extra.length === 0) return;
  const parts = [
    ...(missing.length > 0 ? [`lacks ${listed(missing)}`] : []),
    ...(extra.length > 0 ? [`has ${listed(extra)}, which its configuration does not name`] : []),
  ];
  throw new MismatchError({
    code: "ADAPTER_MODULES",
    message: `the adapter does not fit its configuration and the model: it ${parts.join(" and ")}`,
    fix: "use the configuration that came with the weights, on the model that the adapter was trained on",
  });
}

/** Throws `ShapeError` `ADAPTER_SHAPE` unless a factor has the shape that the model asks for. */
export function requireFactorShape(
  name: string,
  given: readonly number[],
  wanted: readonly number[],
): void {
  if (sameShape(given, wanted)) return;
  throw new ShapeError({
    code: "ADAPTER_SHAPE",
    message: `"${name}" has shape ${formatShape(given)}, and the model and rank ask for ${formatShape(wanted)}`,
    fix: "use the adapter on a model of the sizes that it was trained on",
    where: name,
  });
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}
