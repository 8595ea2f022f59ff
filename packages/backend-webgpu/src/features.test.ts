import { describe, expect, it } from "vitest";
import { featuresOf, featuresToRequest, without } from "./features.ts";

const names = ["chromium-experimental-subgroup-matrix", "shader-f16", "subgroups"];
const config = { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 };

const deviceOf = (features: readonly string[], info: object): GPUDevice =>
  ({
    features: new Set(features),
    adapterInfo: { isFallbackAdapter: false, ...info },
    limits: { maxComputeWorkgroupStorageSize: 32_768, maxComputeInvocationsPerWorkgroup: 1024 },
  }) as unknown as GPUDevice;

const info = { subgroupMinSize: 32, subgroupMaxSize: 32, subgroupMatrixConfigs: [config] };

describe("features", () => {
  it("of matrix units need f16, subgroups of one size and a configuration that tiles take", () => {
    const units = { m: 16, n: 16, k: 16, subgroup: 32 };
    expect(featuresOf(deviceOf(names, info)).matrixUnits).toEqual(units);
    for (const missing of names)
      expect(
        featuresOf(
          deviceOf(
            names.filter((name) => name !== missing),
            info,
          ),
        ).matrixUnits,
      ).toBeNull();
    for (const other of [
      { subgroupMinSize: 16 },
      { subgroupMatrixConfigs: [] },
      { subgroupMatrixConfigs: undefined },
      { subgroupMatrixConfigs: [{ ...config, M: 64 }] },
      { subgroupMatrixConfigs: [{ ...config, resultComponentType: "f16" }] },
      { subgroupMatrixConfigs: [{ ...config, componentType: "u8" }] },
    ])
      expect(featuresOf(deviceOf(names, { ...info, ...other })).matrixUnits).toBeNull();
  });

  it("are left out where they are switched off, and matrix units with what they need", () => {
    const all = featuresOf(deviceOf(names, info));
    expect(without(all, [])).toEqual(all);
    expect(without(all, ["matrixUnits"])).toEqual({ ...all, matrixUnits: null });
    expect(without(all, ["f16"])).toEqual({ ...all, f16: false, matrixUnits: null });
    expect(without(all, ["subgroups"])).toEqual({ ...all, subgroups: false, matrixUnits: null });
  });

  it("are asked for as far as the adapter has them", () => {
    const adapter = { features: new Set(["subgroups", "depth-clip-control"]) };
    expect(featuresToRequest(adapter as unknown as GPUAdapter)).toEqual(["subgroups"]);
  });
});
