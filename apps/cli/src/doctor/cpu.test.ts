import { describe, expect, it } from "vitest";
import { run } from "../testing/run.ts";
import { calibrationTable, cpuRows, librariesTable } from "./cpu.ts";

describe("what doctor says of the CPU", () => {
  it("tells a library that is used, one that is missing and one that computes wrongly apart", () => {
    const found = (library: string, usable: boolean, refused: boolean) => ({
      library,
      usable,
      refused,
      detail: `of ${library}`,
    });
    const { rows } = librariesTable([
      found("a.so", false, false),
      found("b.so", false, true),
      found("c.so", true, false),
    ]);
    expect(rows).toEqual([
      ["a.so", "no", "of a.so"],
      ["b.so", "WRONG", "of b.so"],
      ["c.so", "yes", "of c.so"],
    ]);
  });

  it("rounds speeds to a tenth", () => {
    const calibrations = [{ name: "wasm", threads: 1, gflops: 8.370609 }];
    expect(calibrationTable(calibrations).rows).toEqual([["wasm", "1", "8.4"]]);
  });

  it("has a row for kernels, SIMD, threads and what multiplies matrices", () => {
    const cpu = { build: "abc", simd: "plain", threads: 3, matmul: "wasm" } as const;
    const rows = cpuRows({ ...cpu, tried: [], calibrations: [] });
    expect(rows.map(([, value]) => value)).toEqual(["abc", "plain", "3", "wasm"]);
  });
});

describe("doctor --no-webgpu", () => {
  it("prints tables and no JSON", async () => {
    const { code, stdout } = await run(["doctor", "--no-webgpu"]);
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/[{}[\]]/);
    expect(stdout).toMatch(/^library +usable/m);
    expect(stdout).toMatch(/^wasm +1 +\d+\.\d$/m);
  });

  it("keeps the whole survey with --json", async () => {
    const { stdout } = await run(["doctor", "--no-webgpu", "--json"]);
    const { cpu } = JSON.parse(stdout);
    expect(Array.isArray(cpu.tried)).toBe(true);
    expect(cpu.calibrations.map(({ name }: { name: string }) => name)).toContain("wasm");
  });
});
