// `npm start`: builds what changed and runs the atlas on the best model that this machine has, into out/atlas-MODEL.
// Flags given after `npm start --` are passed on, for example `npm start -- --recipe topk`.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const models = process.env.LATENTKIT_MODELS;
const texts = process.env.LATENTKIT_TEXT;

/** The first GGUF file, or model folder, of LATENTKIT_MODELS; a small random-weight model where there is none. */
function bestModel() {
  if (models === undefined || !existsSync(models)) return "random";
  const entries = readdirSync(models).sort();
  const found =
    entries.find((name) => name.endsWith(".gguf")) ??
    entries.find((name) => existsSync(join(models, name, "config.json")));
  return found === undefined ? "random" : join(models, found);
}

/** The corpus of LATENTKIT_TEXT, or else this repository's own prose: few documents, so that a larger share is held out. */
function textFlags() {
  const corpus = texts === undefined ? undefined : join(texts, "docs.jsonl");
  if (corpus !== undefined && existsSync(corpus)) return ["--text", corpus];
  const prose = ["README.md", "AGENTS.md", "CONTRIBUTING.md"]
    .map((name) => join(root, name))
    .filter((path) => existsSync(path));
  const pages = [...markdownBelow(join(root, "docs")), ...markdownBelow(join(root, "packages"))];
  return ["--text", ...prose, ...pages, "--held-out", "0.3", "--presentations", "200000"];
}

/** @param {string} folder */
function markdownBelow(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !/node_modules|dist|CHANGELOG/.test(name))
    .map((name) => join(folder, name))
    .sort();
}

/** @param {string} command @param {readonly string[]} args */
function run(command, args) {
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
  });
  if (status !== 0) process.exit(status ?? 1);
}

run("npx", ["turbo", "run", "build", "--output-logs=errors-only"]);
const model = bestModel();
if (model === "random") {
  console.error(
    "LATENTKIT_MODELS holds no model: a small random-weight model is made on the spot, so the atlas shows the path, not findings.",
  );
}
run("node", [
  "apps/cli/dist/main.js",
  "atlas",
  model,
  "--sae",
  "train",
  ...textFlags(),
  "--out",
  join("out", `atlas-${basename(model, ".gguf")}`),
  ...process.argv.slice(2),
]);
