// `npm run bench -- [FILTER] [--json FILE] [--source]`: builds the packages and runs the benches on what is shipped. With --source on the
// sources, where every closure costs a call more, but nothing is built. Peers run where PEER_PYTHON names a Python that has them.
import { spawnSync } from "node:child_process";

const fromSource = process.argv.includes("--source");
const asked = process.argv.slice(2).filter((argument) => argument !== "--source");

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function run(command, args) {
  const { status } = spawnSync(command, args, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

if (!fromSource)
  run(process.execPath, [
    "node_modules/turbo/bin/turbo",
    "run",
    "build",
    "--filter=@latentkit/bench^...",
    "--output-logs=errors-only",
  ]);
run(process.execPath, [
  ...(fromSource ? ["--conditions=@latentkit/source"] : []),
  "--import",
  "tsx",
  "bench/src/main.ts",
  ...asked,
]);
