// `npm start`: builds the kernels if they changed, charts the embedded model into out/atlas-tiny and serves the report on loopback until Ctrl-C.
// Flags given after `npm start --` are passed on to `latentkit atlas tiny`; `npm start -- --no-serve` is for scripts.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const given = process.argv.slice(2);
const flags = given.filter((flag) => flag !== "--no-serve");
const serve = flags.length === given.length;

// The terminal sends Ctrl-C to the children too, and they decide how to end: the exit code is theirs.
process.on("SIGINT", () => {});

/** @param {string} command @param {readonly string[]} args @returns {Promise<number>} the exit code */
function run(command, args, shell = false) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: "inherit",
      shell,
      env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
    });
    const terminate = () => child.kill("SIGTERM");
    process.on("SIGTERM", terminate);
    child.on("error", reject).on("exit", (code) => {
      process.off("SIGTERM", terminate);
      resolve(code ?? 1);
    });
  });
}

// The kernels are all that has to be built: the rest runs from its sources, which saves declarations and bundles of all packages.
// npx is a script on Windows, which needs a shell.
const built = await run(
  "npx",
  ["turbo", "run", "build:wasm", "--output-logs=errors-only"],
  process.platform === "win32",
);
process.exitCode =
  built !== 0
    ? built
    : await run(process.execPath, [
        "--conditions=@latentkit/source",
        "--import",
        "tsx",
        "apps/cli/src/main.ts",
        "atlas",
        "tiny",
        ...(flags.includes("--out") ? [] : ["--out", join("out", "atlas-tiny")]),
        ...(serve ? ["--serve"] : []),
        ...flags,
      ]);
