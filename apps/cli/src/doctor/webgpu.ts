import type { WebGpuInspection } from "@latentkit/device";
import type { Table } from "../output.ts";

/** Features of adapters that kernels and profiles make use of. */
const used = [
  "chromium-experimental-subgroup-matrix",
  "shader-f16",
  "subgroups",
  "timestamp-query",
];

/** WebGPU's rows of the table: what it is and how it did, or why there is none and what to do. */
export function webGpuRows(found: WebGpuInspection): string[][] {
  const { description } = found;
  const adapter =
    description === null
      ? []
      : [
          ["webgpu adapter", `${description.adapter}${description.software ? " (software)" : ""}`],
          ["webgpu vendor", named(description.vendor)],
          ["webgpu architecture", named(description.architecture)],
          ["webgpu driver", named(description.description)],
          ...used.map((name) => [
            `webgpu ${name}`,
            description.features.includes(name) ? "yes" : "no",
          ]),
          ["webgpu storage buffers", String(description.limits.maxStorageBuffersPerShaderStage)],
          ["webgpu largest binding", mebibytes(description.limits.maxStorageBufferBindingSize)],
          ["webgpu largest buffer", mebibytes(description.limits.maxBufferSize)],
          [
            "webgpu workgroups",
            `${description.limits.maxComputeInvocationsPerWorkgroup} invocations, ${description.limits.maxComputeWorkgroupStorageSize / 1024} KiB`,
          ],
        ];
  if (!found.available)
    return [...adapter, ["webgpu", `none, ${found.code}: ${found.why}`], ["", found.fix]];
  const { check } = found;
  return [
    ...adapter,
    ...check.operators.map(({ operator, agrees, deviation, tolerance }) => [
      `webgpu ${operator}`,
      `${agrees ? "agrees" : "IS WRONG"}: deviation ${deviation.toExponential(1)}, allowed ${tolerance}`,
    ]),
    [
      "webgpu speed",
      `${check.gflops.toPrecision(3)} GFLOP/s, f32 products of ${check.size} x ${check.size}`,
    ],
    ["webgpu check", `${check.agrees ? "passed" : "FAILED"} in ${check.seconds.toFixed(1)} s`],
  ];
}

/** Time by kernel. */
export function profileTable(kernels: NonNullable<Profile>): Table {
  return {
    columns: ["kernel", "calls", "ms", "MiB", "GiB/s"],
    rows: kernels.map(({ kernel, calls, seconds, bytes }) => [
      kernel,
      String(calls),
      (seconds * 1000).toFixed(3),
      (bytes / 2 ** 20).toFixed(2),
      seconds > 0 ? (bytes / 2 ** 30 / seconds).toFixed(2) : "",
    ]),
  };
}

type Profile = Extract<WebGpuInspection, { readonly available: true }>["profile"];

/** What hosts hide is empty. */
const named = (text: string): string => (text === "" ? "not told" : text);

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
