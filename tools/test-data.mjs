// The data that tests find by environment variables, because it is too big for the repository or not ours to publish.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";

/** @type {readonly { variable: string, holds: string }[]} */
export const testData = [
  { variable: "LATENTKIT_MODELS", holds: "a folder with SmolLM2-135M-Instruct.Q4_1.gguf" },
  {
    variable: "LATENTKIT_TEXT",
    holds: "a folder with docs.jsonl (documents to publish results on)",
  },
  { variable: "LATENTKIT_PROBING", holds: "a folder with the labelled probing data sets" },
];

/**
 * The variables that a test under `root` reads: data that no test needs yet is not asked for.
 *
 * @param {string} root
 * @returns {Set<string>}
 */
export function variablesInUse(root) {
  /** @type {Set<string>} */
  const used = new Set();
  for (const folder of ["packages", "apps", "tests"]) {
    if (!existsSync(join(root, folder))) continue;
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      // tests/house tests this very check, and so names every variable.
      if (
        !entry.isFile() ||
        !entry.name.endsWith(".ts") ||
        /node_modules|dist|house/.test(entry.parentPath)
      )
        continue;
      const text = readFileSync(join(entry.parentPath, entry.name), "utf8");
      for (const { variable } of testData) if (text.includes(variable)) used.add(variable);
    }
  }
  return used;
}

/**
 * What is wrong with the test data: `failures` stop the run, `notes` say what will be skipped.
 * On a build server (`CI=true`) a variable that is not set is a failure; a variable that points nowhere always is.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {ReadonlySet<string>} used The variables that some test reads.
 * @returns {{ failures: string[], notes: string[] }}
 */
export function checkTestData(env, used) {
  /** @type {string[]} */
  const failures = [];
  /** @type {string[]} */
  const notes = [];
  for (const { variable, holds } of testData) {
    if (!used.has(variable)) continue;
    const path = env[variable];
    if (path === undefined || path === "") {
      const message = `${variable} is not set: tests that read it`;
      if (env["CI"] === "true") failures.push(`${message} cannot run. Set it to ${holds}.`);
      else notes.push(`${message} are skipped. Set it to ${holds}.`);
    } else if (!isAbsolute(path)) {
      failures.push(
        `${variable}=${path} is a relative path: tests run in several folders. Set it to an absolute one.`,
      );
    } else if (!existsSync(path) || !statSync(path).isDirectory()) {
      failures.push(`${variable}=${path} is not a folder. Set it to ${holds}, or unset it.`);
    }
  }
  return { failures, notes };
}
