// Runs after `npm install`: compiles what the sources import but git does not keep (the WebAssembly kernels).
// With --if-stale it compiles only if a source is newer than what was compiled from it.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const packageFolder = join(
  dirname(dirname(fileURLToPath(import.meta.url))),
  "packages",
  "backend-cpu",
);
const manifest = join(packageFolder, "package.json");
const { scripts } = existsSync(manifest)
  ? JSON.parse(readFileSync(manifest, "utf8"))
  : { scripts: {} };

if (scripts["build:wasm"] !== undefined && !(process.argv.includes("--if-stale") && isFresh())) {
  const { status } = spawnSync("npm", ["run", "--silent", "build:wasm"], {
    cwd: packageFolder,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  process.exit(status ?? 1);
}

function isFresh() {
  let newestSource = 0;
  let oldestOutput = Number.POSITIVE_INFINITY;
  for (const entry of readdirSync(join(packageFolder, "src"), {
    recursive: true,
    withFileTypes: true,
  })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !path.includes(join("src", "wasm"))) continue;
    const time = statSync(path).mtimeMs;
    if (entry.name.includes(".generated.")) oldestOutput = Math.min(oldestOutput, time);
    else newestSource = Math.max(newestSource, time);
  }
  return oldestOutput !== Number.POSITIVE_INFINITY && oldestOutput >= newestSource;
}
