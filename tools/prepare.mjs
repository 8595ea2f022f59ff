// Runs after `npm install`: compiles what the sources import but git does not keep (the WebAssembly kernels).
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const manifest = "packages/backend-cpu/package.json";
if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).scripts["build:wasm"] !== undefined) {
  const { status } = spawnSync("npm", ["run", "--silent", "build:wasm", "--workspace", "@latentkit/backend-cpu"], {
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  process.exit(status ?? 1);
}
