// `npm run check`: everything that has to be green before a push. `npm run check -- lint types` runs those steps alone.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @typedef {{ name: string, why: string, command: () => readonly string[] }} Step */

/** @type {readonly Step[]} */
const steps = [
  { name: "format", why: "fix: npm run format", command: () => npm("format:check") },
  { name: "lint", why: "rules in .oxlintrc.json and tools/lint", command: () => npm("lint") },
  { name: "layers", why: "rules in .dependency-cruiser.cjs", command: () => npm("layers") },
  { name: "types", why: "the whole repository, strict", command: () => npm("types") },
  {
    name: "packaging",
    why: "build, pack, publint, attw, install of the tarballs, README examples",
    command: () => [process.execPath, "tools/test.mjs", "tests/packaging", "tests/readme"],
  },
  { name: "tests", why: "of what changed", command: testsOfWhatChanged },
];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`check: no step is called ${unknown.join(", ")}`);
  console.error(`  fix: choose from ${steps.map((step) => step.name).join(", ")}`);
  process.exit(2);
}

/** @type {string[]} */
const summary = [];
let failed = 0;
for (const step of steps) {
  if (asked.length > 0 && !asked.includes(step.name)) continue;
  console.log(`\n=== ${step.name}: ${step.why}`);
  const start = performance.now();
  const [command = "", ...args] = step.command();
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
  });
  if (status !== 0) failed += 1;
  summary.push(
    `${status === 0 ? "ok    " : "FAILED"}  ${step.name} (${((performance.now() - start) / 1000).toFixed(1)} s)`,
  );
}
console.log(`\n=== summary\n${summary.join("\n")}`);
process.exit(failed > 0 ? 1 : 0);

/** @param {string} script */
function npm(script) {
  return ["npm", "run", "--silent", script];
}

/** Since the branch left main; on main, since the last commit; every test where there is no history to compare with. */
function testsOfWhatChanged() {
  const run = [process.execPath, "tools/test.mjs"];
  const mergeBase = git("merge-base", "HEAD", "origin/main") ?? git("merge-base", "HEAD", "main");
  const head = git("rev-parse", "HEAD");
  const base =
    mergeBase === null || mergeBase === head ? git("rev-parse", "--verify", "HEAD~1") : mergeBase;
  return base === null
    ? run
    : [...run, `--changed=${base}`, "--exclude=tests/packaging/**", "--exclude=tests/readme/**"];
}

/** @param {readonly string[]} args @returns {string | null} */
function git(...args) {
  const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}
