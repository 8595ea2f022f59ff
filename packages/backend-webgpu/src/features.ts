/// <reference types="@webgpu/types" />

/** What a device offers beyond what every WebGPU device has; each kernel that makes use of one has another path without it. */
export interface Features {
  /** Halves in arithmetic and in workgroup memory: `shader-f16`. */
  readonly f16: boolean;
  /** Sums, extremes and prefix sums over a subgroup: `subgroups`. */
  readonly subgroups: boolean;
  /** Products by matrix units of f16 factors and f32 sums, and the sizes of one such product; null without. */
  readonly matrixUnits: MatrixUnits | null;
  /** Queries of the device's clock around a pass: `timestamp-query`. */
  readonly timestamps: boolean;
  /** Bytes of workgroup memory of one program. */
  readonly workgroupBytes: number;
  /** Invocations of one workgroup. */
  readonly invocations: number;
  /** Whether a processor does the work of the GPU. */
  readonly software: boolean;
}

/** A product of subgroup matrices: `[m, k]` of f16 by `[k, n]` of f16 into `[m, n]` of f32. */
export interface MatrixUnits {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Invocations of each subgroup, which must be one number for all of them. */
  readonly subgroup: number;
}

/** What the least of all WebGPU devices has. */
export const leastFeatures: Features = {
  f16: false,
  subgroups: false,
  matrixUnits: null,
  timestamps: false,
  workgroupBytes: 16_384,
  invocations: 256,
  software: false,
};

/** Features that kernels make use of, of those in WebGPU's own names. */
const wanted = [
  "chromium-experimental-subgroup-matrix",
  "shader-f16",
  "subgroups",
  "timestamp-query",
] as const;

/** What to ask of the adapter for kernels and timings, as far as it has it. Drafts of WebGPU have names that its types do not know. */
export function featuresToRequest(adapter: GPUAdapter): GPUFeatureName[] {
  const offered: ReadonlySet<string> = adapter.features;
  // Names of the adapter's own list, in the host's words.
  return wanted.filter((name) => offered.has(name)) as GPUFeatureName[];
}

/** What Dawn says of matrix units beside the adapter's name. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What an open device offers. */
export function featuresOf(device: GPUDevice): Features {
  const granted: ReadonlySet<string> = device.features;
  const has = (name: string): boolean => granted.has(name);
  // Of hosts with and without the draft of subgroup matrices, as Dawn has it.
  const info = device.adapterInfo as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
  };
  const [f16, subgroups] = [has("shader-f16"), has("subgroups")];
  const config = [...(info.subgroupMatrixConfigs ?? [])].find(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === "f16" && resultComponentType === "f32" && [M, N, K].every(isTileSize),
  );
  // Optional in the types, for hosts of before subgroups.
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = info;
  const units =
    config !== undefined &&
    f16 &&
    subgroups &&
    least === most &&
    most > 0 &&
    has("chromium-experimental-subgroup-matrix");
  return {
    f16,
    subgroups,
    matrixUnits: units ? { m: config.M, n: config.N, k: config.K, subgroup: most } : null,
    timestamps: has("timestamp-query"),
    workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
    invocations: device.limits.maxComputeInvocationsPerWorkgroup,
    software: info.isFallbackAdapter,
  };
}

/** Sizes that divide the tile of `kernels/matmul/matrix-units.ts`. */
const isTileSize = (size: number): boolean => size === 8 || size === 16;

/** The features without those that a caller has switched off, as keys of {@link Features}. */
export function without(features: Features, off: readonly FeatureSwitch[]): Features {
  let left = features;
  for (const name of off)
    left = name === "matrixUnits" ? { ...left, matrixUnits: null } : { ...left, [name]: false };
  // Matrix units take halves in subgroups.
  return left.f16 && left.subgroups ? left : { ...left, matrixUnits: null };
}

/** Features that can be switched off. */
export type FeatureSwitch = "f16" | "matrixUnits" | "subgroups" | "timestamps";
