// `npm test`: checks what the tests need (and never installs it), builds what git does not keep, then runs every suite.
// Arguments go to vitest: `npm test -- packages/core`, `npm test -- -t "philox"`. The last line is the count.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { countLine, countTests } from "./count.mjs";
import { describeMachine, lookFor } from "./requirements.mjs";
import { checkTestData, variablesInUse } from "./test-data.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);

const problems = lookFor(describeMachine())
  .filter((row) => row.found === null)
  .map(
    ({ requirement }) =>
      `${requirement.name} is missing: ${requirement.why} need it. Type: npm run setup`,
  );
const data = checkTestData(process.env, variablesInUse(root));
for (const note of data.notes) console.log(`note: ${note}`);
problems.push(...data.failures);
if (problems.length > 0) stop(problems);

const prepared = spawnSync(process.execPath, ["tools/prepare.mjs", "--if-stale"], {
  cwd: root,
  stdio: "inherit",
});
if (prepared.status !== 0)
  stop(["the WebAssembly kernels did not compile (see above). Mend them, then: npm test"]);

const scratch = mkdtempSync(join(tmpdir(), "latentkit-test-"));
const reportFile = join(scratch, "report.json");
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
const { status, signal } = spawnSync(
  process.execPath,
  [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${reportFile}`,
    ...args,
  ],
  { cwd: root, stdio: "inherit", env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" } },
);

const count = countTests(readReport(), {
  exitCode: status ?? 1,
  mayBeEmpty: args.some((argument) => argument.startsWith("--changed")),
});
if (signal !== null) count.failures.push(`vitest was ended by ${signal}`);
for (const skip of count.skips) console.log(`skipped: ${relative(root, skip)}`);
for (const failure of count.failures) console.log(`failed: ${failure.replace(`${root}/`, "")}`);
console.log(countLine(count));
process.exitCode = count.failed > 0 || signal !== null ? 1 : 0;

/** @returns {import("./count.mjs").Report | null} */
function readReport() {
  try {
    return JSON.parse(readFileSync(reportFile, "utf8"));
  } catch {
    return null;
  }
}

/** @param {readonly string[]} reasons @returns {never} */
function stop(reasons) {
  for (const reason of reasons) console.error(`failed: ${reason}`);
  console.log(countLine({ passed: 0, failed: reasons.length, skipped: 0 }));
  process.exit(1);
}
