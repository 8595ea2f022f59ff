import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { countLine, countTests } from "../../tools/count.mjs";

const repository = resolve(import.meta.dirname, "../..");
const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** Runs vitest on the planted files, as tools/test.mjs does, and counts its report. */
function countOf(files: Record<string, string>) {
  const folder = mkdtempSync(join(tmpdir(), "latentkit-count-"));
  folders.push(folder);
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"), "junction");
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const report = join(folder, "report.json");
  const { status } = spawnSync(
    process.execPath,
    [
      join(repository, "node_modules/vitest/vitest.mjs"),
      "run",
      "--root",
      folder,
      "--reporter=json",
      `--outputFile=${report}`,
    ],
    { cwd: folder, encoding: "utf8" },
  );
  return countTests(JSON.parse(readFileSync(report, "utf8")), { exitCode: status ?? 1 });
}

const imports = 'import { beforeAll, describe, expect, it } from "vitest";\n';
const green = `${imports}it("a", () => {}); it("b", () => {});`;

describe("countTests on real vitest reports", () => {
  it("counts what passed, failed and was skipped", () => {
    const text = `${imports}it("bad", () => expect(1).toBe(2)); it.skip("later", () => {}); it.todo("never");`;
    const count = countOf({ "a.test.js": green, "b.test.js": text });
    expect(countLine(count)).toBe("2 passed, 1 failed, 2 skipped");
    expect(count.failures).toEqual([expect.stringContaining("b.test.js: bad")]);
  });

  it("counts a file that cannot be imported, a suite whose hook throws, and one without tests as failed", () => {
    const count = countOf({
      "a.test.js": green,
      "b.test.js": 'import "./nowhere.js";',
      "c.test.js": `${imports}describe("s", () => { beforeAll(() => { throw new Error("no"); }); it("x", () => {}); });`,
      "d.test.js": "export {};",
    });
    expect(count.passed).toBe(2);
    expect(count.failed).toBe(3);
  });

  it("counts an error outside of the tests as failed", () => {
    const text = `${imports}it("a", () => { setTimeout(() => { throw new Error("late"); }, 0); });
      it("b", () => new Promise((done) => setTimeout(done, 50)));`;
    expect(countOf({ "a.test.js": text }).failed).toBe(1);
  });
});

describe("countTests", () => {
  const empty = { success: false, testResults: [] };

  it("fails when nothing ran, unless only what changed was asked for", () => {
    expect(countLine(countTests(empty, { exitCode: 1 }))).toBe("0 passed, 1 failed, 0 skipped");
    expect(countTests({ ...empty, success: true }, { exitCode: 0, mayBeEmpty: true }).failed).toBe(
      0,
    );
  });

  it("fails when every test was skipped, and when there is no report", () => {
    const skipped = {
      name: "a",
      status: "passed",
      assertionResults: [{ status: "skipped", fullName: "x" }],
    };
    expect(countTests({ success: true, testResults: [skipped] }, { exitCode: 0 }).failed).toBe(1);
    expect(countTests(null, { exitCode: 0 }).failed).toBe(1);
  });
});
