import { spawn } from "node:child_process";

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  /** Without npm's own warnings about the configuration of the machine. */
  readonly stderr: string;
}

/** Runs a command to its end without blocking the test runner. */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout, stderr: stderr.replaceAll(/^npm warn.*\n?/gm, "") });
    });
  });
}

/** An environment without what the test runner adds, so that a child behaves as it would for a user. */
export function userEnvironment(): NodeJS.ProcessEnv {
  const without = ["NODE_OPTIONS", "NODE_ENV", "VITEST", "FORCE_COLOR", "NO_COLOR"];
  return Object.fromEntries(without.map((name) => [name, undefined]));
}
