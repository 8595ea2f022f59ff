// `npm run bench -- [FILTER] [--json FILE]`: runs the benches from source. Peers run where PEER_PYTHON names a Python that has them.
import { spawnSync } from "node:child_process";

const { status } = spawnSync(
  process.execPath,
  [
    "--conditions=@latentkit/source",
    "--import",
    "tsx",
    "bench/src/main.ts",
    ...process.argv.slice(2),
  ],
  { stdio: "inherit" },
);
process.exit(status ?? 1);
