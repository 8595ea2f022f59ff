// `node tools/peer-env.mjs`: makes `.peer-env`, the Python environment of goldens and of the benches' peers, and prints the
// line that lets `npm run bench` find it. Tests never need it: goldens are committed.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, ".peer-env");
const windows = process.platform === "win32";
const python = join(folder, windows ? "Scripts" : "bin", windows ? "python.exe" : "python");

if (!existsSync(python)) {
  run(
    windows ? "python" : "python3",
    ["-m", "venv", folder],
    "install Python 3.11 or newer with its venv module",
  );
}
// pip's own variables choose the index, for example PIP_INDEX_URL or PIP_EXTRA_INDEX_URL for builds of torch without CUDA.
run(
  python,
  ["-m", "pip", "install", "--quiet", "--requirement", join(root, "oracles", "requirements.txt")],
  "see pip's message above; the versions are in oracles/requirements.txt",
);
const optional = join(root, "oracles", "requirements-optional.txt");
for (const line of readFileSync(optional, "utf8").split("\n")) {
  const requirement = line.replace(/#.*/, "").trim();
  if (requirement === "") continue;
  const { status } = spawnSync(
    python,
    ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", requirement],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  if (status !== 0) console.error(`peer-env: goes on without ${requirement}, an optional peer`);
}
console.error("The Python environment is ready. For the benches' peers type:");
console.log(`export PEER_PYTHON=${python}`);

/** @param {string} command @param {readonly string[]} args @param {string} fix */
function run(command, args, fix) {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status === 0) return;
  console.error(
    `peer-env: ${command} ${args.join(" ")} failed (${error?.message ?? `exit code ${status}`})`,
  );
  console.error(`  fix: ${fix}`);
  process.exit(1);
}
