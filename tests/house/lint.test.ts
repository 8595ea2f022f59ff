import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repository } from "../support/packages.ts";

// Inside the repository: the configuration and the plugin that stand there apply.
const root = mkdtempSync(join(repository, ".lint-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const assertion = "const x: unknown = 1;\n";
const bad: readonly [rule: string, text: string][] = [
  ["house(no-bare-error)", 'throw new Error("x");\n'],
  ["house(no-bare-error)", 'throw RangeError("x");\n'],
  ["house(comment-on-assertion)", `${assertion}export const y = x as number;\n`],
  ["typescript(no-explicit-any)", "export const x: any = 1;\n"],
  ["typescript(no-non-null-assertion)", "export const f = (x?: number): number => x!;\n"],
  [
    "typescript(no-floating-promises)",
    "const f = async (): Promise<void> => {};\nexport const g = (): void => { f(); };\n",
  ],
  ["import(no-default-export)", "export default 1;\n"],
  ["eslint(no-console)", 'console.log("x");\n'],
  ["eslint(max-lines)", "export {};\n".repeat(451)],
];
const good: readonly [name: string, text: string][] = [
  [
    "a comment on the line above",
    `${assertion}// A number by construction.\nexport const y = x as number;\n`,
  ],
  [
    "a comment beside it",
    `${assertion}export const y = x as number; // a number by construction\n`,
  ],
  ["as const", "export const y = [1, 2] as const;\n"],
];
const inTests = `${assertion}export const y = x as number;\nexport const z = new Error("x");\n`;

/** The rules that report on each planted file, by the repository's own configuration. */
let findings: ReadonlyMap<string, readonly string[]>;

beforeAll(() => {
  const folder = join(root, "packages/core/src");
  mkdirSync(folder, { recursive: true });
  for (const [index, [, text]] of bad.entries())
    writeFileSync(join(folder, `bad-${index}.ts`), text);
  for (const [index, [, text]] of good.entries())
    writeFileSync(join(folder, `good-${index}.ts`), text);
  writeFileSync(join(folder, "planted.test.ts"), inTests);
  const { stdout } = spawnSync(
    process.execPath,
    [join(repository, "node_modules/oxlint/bin/oxlint"), "--format=json", dirname(folder)],
    { cwd: repository, encoding: "utf8" },
  );
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { code: string; filename: string }[];
  };
  const byFile = new Map<string, string[]>();
  for (const { code, filename } of diagnostics) {
    byFile.set(basename(filename), [...(byFile.get(basename(filename)) ?? []), code]);
  }
  findings = byFile;
});

describe("the linter", () => {
  it.each(bad.map(([rule], index) => ({ rule, index })))(
    "reports $rule in a package",
    ({ rule, index }) => {
      expect(findings.get(`bad-${index}.ts`)).toContain(rule);
    },
  );

  it.each(good.map(([name], index) => ({ name, index })))(
    "accepts an assertion with $name",
    ({ index }) => {
      expect(findings.get(`good-${index}.ts`) ?? []).toEqual([]);
    },
  );

  it("accepts bare errors and assertions in tests", () => {
    expect(findings.get("planted.test.ts") ?? []).toEqual([]);
  });
});
