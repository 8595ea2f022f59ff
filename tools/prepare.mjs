// Runs after `npm install`: compiles what the sources import but git does not keep: WebAssembly kernels, and the text that helper
// threads run. With --if-stale a package is compiled only if a source is newer than what was compiled from it.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = join(dirname(dirname(fileURLToPath(import.meta.url))), "packages");
const onlyStale = process.argv.includes("--if-stale");

for (const name of readdirSync(packages)) {
  const folder = join(packages, name);
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest)) continue;
  const { scripts = {} } = JSON.parse(readFileSync(manifest, "utf8"));
  if (scripts["build:wasm"] === undefined || (onlyStale && isFresh(folder))) continue;
  const { status } = spawnSync("npm", ["run", "--silent", "build:wasm"], {
    cwd: folder,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** @param {string} folder of a package */
function isFresh(folder) {
  let newestSource = 0;
  let oldestOutput = Number.POSITIVE_INFINITY;
  for (const entry of readdirSync(join(folder, "src"), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.includes(".test.")) continue;
    const time = statSync(join(entry.parentPath, entry.name)).mtimeMs;
    if (entry.name.endsWith(".generated.ts")) oldestOutput = Math.min(oldestOutput, time);
    else newestSource = Math.max(newestSource, time);
  }
  return oldestOutput !== Number.POSITIVE_INFINITY && oldestOutput >= newestSource;
}
