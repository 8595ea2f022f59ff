// Runs a script under another Node version, fetched through npm: `node tools/on-node.mjs 24 tools/test.mjs packages/core`.
import { spawnSync } from "node:child_process";

const [version, ...command] = process.argv.slice(2);
if (version === undefined || !/^\d+(?:\.\d+)*$/.test(version) || command.length === 0) {
  console.error(
    `on-node: given ${process.argv.slice(2).join(" ") || "nothing"}, expected a version and a script`,
  );
  console.error("  fix: node tools/on-node.mjs 24 tools/test.mjs packages/core");
  process.exit(2);
}
const { status, error } = spawnSync(
  "npx",
  ["--yes", "--package", `node@${version}`, "--", "node", ...command],
  {
    stdio: "inherit",
    shell: process.platform === "win32",
  },
);
if (error) console.error(`on-node: ${error.message}`);
process.exit(status ?? 1);
