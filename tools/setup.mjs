// `npm run setup`: looks for what tests need beside npm packages and, as root on Debian or Ubuntu, installs what is missing;
// elsewhere it prints the exact commands. Exit code 0 means that `npm test` will find everything.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describeMachine, lookFor, planInstall, stepsAsShell } from "./requirements.mjs";

const machine = describeMachine();
let missing = report(lookFor(machine));
if (missing.length > 0) {
  const { steps, byHand } = planInstall(missing, machine, { mirror: debianMirror() });
  if (machine.root && steps.length > 0) {
    install(steps);
    missing = report(lookFor(machine));
  } else if (steps.length > 0) {
    console.error("\nInstalling needs root. Type:");
    for (const line of stepsAsShell(steps, machine)) console.error(`  ${line}`);
  }
  for (const line of byHand) console.error(`\nBy hand: ${line}`);
}
if (missing.length > 0) {
  console.error(
    `\nsetup: still missing: ${missing.map((row) => row.name).join(", ")}. Then run: npm run setup`,
  );
  process.exit(1);
}
console.log("setup: everything that the tests need is here");

/** @param {ReturnType<typeof lookFor>} rows */
function report(rows) {
  for (const { requirement, found } of rows) {
    console.log(
      `${found === null ? "missing" : "found  "}  ${requirement.name}: ${found ?? requirement.why}`,
    );
  }
  return rows.filter((row) => row.found === null).map((row) => row.requirement);
}

/** @param {readonly import("./requirements.mjs").Step[]} steps */
function install(steps) {
  for (const step of steps) {
    if (!("run" in step)) {
      console.log(`\n> write ${step.write}: ${step.content.trim()}`);
      writeFileSync(step.write, step.content);
      continue;
    }
    console.log(`\n> ${step.run.join(" ")}`);
    const [command = "", ...args] = step.run;
    const { status, error } = spawnSync(command, args, {
      stdio: "inherit",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
    if (status === 0) continue;
    // An update may fail for a foreign source while Debian's own lists are fresh enough: the install decides.
    if (args[0] === "update") {
      console.error(
        "setup: apt-get update failed (see above); going on with the package lists as they are",
      );
      continue;
    }
    console.error(
      `\nsetup: ${step.run.join(" ")} failed (${error?.message ?? `exit code ${status}`}), see above.`,
    );
    console.error(
      "  fix: make apt's archives reachable and this command pass, then run: npm run setup",
    );
    process.exit(1);
  }
}

/** The Debian archive that apt already uses here, so that a mirror or proxy stays in use for backports too. */
function debianMirror() {
  const { status, stdout } = spawnSync(
    "apt-get",
    ["indextargets", "--format", "$(CODENAME) $(REPO_URI)"],
    {
      encoding: "utf8",
    },
  );
  const line =
    status === 0
      ? stdout.split("\n").find((text) => text.startsWith(`${machine.codename} `))
      : undefined;
  return line?.split(" ")[1] ?? "http://deb.debian.org/debian";
}
