import { describeCpu } from "@latentkit/backend-cpu";
import { inspectWebGpu } from "@latentkit/device";
import type { Command } from "commander";
import { z } from "zod";
import { calibrationTable, cpuRows, librariesTable } from "../doctor/cpu.ts";
import { webGpuRows, profileTable } from "../doctor/webgpu.ts";
import { commonSchema, parseOptions, withCommonOptions } from "../options.ts";
import { printResult, printTable } from "../output.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  webgpu: z.boolean().default(true),
  profile: z.boolean().default(false),
});

export function addDoctor(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("doctor")
      .description(
        "Show what this machine offers: kernels, matrix-product libraries and their speed, WebGPU and whether it computes what it should.",
      )
      .option("--no-webgpu", "leave WebGPU alone")
      .option("--profile", "time each kernel of the check on WebGPU, by the device's clock"),
  ).action(async (raw: unknown) => {
    const options = parseOptions(schema, raw);
    const cpu = await describeCpu();
    const { profile } = options;
    const webgpu = options.webgpu
      ? await inspectWebGpu({ profile, signal: terminal.signal })
      : null;
    const result = {
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cpu,
      webgpu,
    };
    printResult(terminal, options.json, result, () => ({
      columns: ["what", "found"],
      rows: [
        ["node", result.node],
        ["platform", result.platform],
        ...cpuRows(cpu),
        ...(webgpu === null ? [] : webGpuRows(webgpu)),
      ],
    }));
    if (options.json) return;
    const tables = [librariesTable(cpu.tried), calibrationTable(cpu.calibrations)];
    if (webgpu?.available === true && webgpu.profile !== null)
      tables.push(profileTable(webgpu.profile));
    for (const table of tables) {
      terminal.stdout.write("\n");
      printTable(terminal.stdout, table);
    }
  });
}
