import { describeCpu } from "@latentkit/backend-cpu";
import type { Command } from "commander";
import { z } from "zod";
import { commonSchema, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import type { Terminal } from "../terminal.ts";

export function addDoctor(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("doctor")
      .description(
        "Show what this machine offers: kernels, matrix-product libraries and their speed.",
      ),
  ).action(async (raw: unknown) => {
    const options = parseOptions(z.object(commonSchema), raw);
    const cpu = await describeCpu();
    const result = { node: process.version, platform: `${process.platform} ${process.arch}`, cpu };
    printResult(terminal, options.json, result, () => ({
      columns: ["what", "found"],
      rows: [
        ["node", result.node],
        ["platform", result.platform],
        ...Object.entries(cpu).map(([name, value]) => [name, describeValue(value)]),
      ],
    }));
  });
}

function describeValue(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
