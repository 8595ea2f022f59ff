// What the tests need beside npm packages: one row each. `npm run setup` installs what is missing, `npm test` only looks.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";

/**
 * @typedef {object} Requirement
 * @property {string} name What it is, as a person would say it.
 * @property {string} why Which tests need it.
 * @property {(machine: Machine) => string | null} detect What was found (shown to the reader), or null.
 * @property {readonly string[]} debian Debian packages that provide it.
 * @property {readonly string[]} [ubuntu] Ubuntu packages, where they differ; an empty list means that apt has none.
 * @property {boolean} [backports] On Debian 12 the packages must come from bookworm-backports: stable's are too old.
 * @property {{ darwin: string, win32: string, other: string }} elsewhere What to type, or do, on other systems.
 */

/**
 * @typedef {object} Machine
 * @property {NodeJS.Platform} platform
 * @property {"debian" | "ubuntu" | null} apt Which kind of apt-based Linux, if any.
 * @property {string} codename Debian's or Ubuntu's code name, for example `bookworm`; empty if unknown.
 * @property {boolean} root Whether packages can be installed without sudo.
 */

/** @typedef {{ run: readonly string[] } | { write: string, content: string }} Step */

/** @type {readonly Requirement[]} */
export const requirements = [
  {
    name: "OpenBLAS",
    why: "the tests of the BLAS matrix products in @latentkit/backend-cpu",
    detect: findBlas,
    debian: ["libopenblas0-pthread"],
    elsewhere: {
      darwin: "nothing: Accelerate is part of macOS",
      win32: "nothing: the tests use WebAssembly there",
      other:
        "install your system's OpenBLAS, so that libopenblas.so.0 loads (Fedora: dnf install openblas-threads)",
    },
  },
  {
    name: "a Vulkan driver for WebGPU",
    why: "the tests of @latentkit/backend-webgpu, which run on a GPU or on Mesa's software driver",
    detect: findVulkan,
    debian: ["mesa-vulkan-drivers", "libvulkan1"],
    // Debian 12's Mesa 22 is too old for Dawn.
    backports: true,
    elsewhere: {
      darwin: "nothing: WebGPU uses Metal",
      win32: "nothing: WebGPU uses Direct3D 12",
      other:
        "install your system's Vulkan loader and a driver (Fedora: dnf install vulkan-loader mesa-vulkan-drivers)",
    },
  },
  {
    name: "Chromium",
    why: "the tests that open a report in a browser",
    detect: findChromium,
    debian: ["chromium"],
    ubuntu: [],
    elsewhere: {
      darwin: "brew install --cask chromium (or set CHROMIUM_PATH to a Chromium or Chrome)",
      win32: "winget install Google.Chrome, then set CHROMIUM_PATH to its chrome.exe",
      other: "install Chromium or Chrome from your system's packages, or set CHROMIUM_PATH to one",
    },
  },
];

/** @returns {Machine} */
export function describeMachine() {
  /** @type {Record<string, string>} */
  const release = {};
  if (process.platform === "linux" && existsSync("/etc/os-release")) {
    for (const line of readFileSync("/etc/os-release", "utf8").split("\n")) {
      const match = /^(\w+)="?([^"]*)"?$/.exec(line);
      if (match) release[match[1] ?? ""] = match[2] ?? "";
    }
  }
  const names = `${release["ID"] ?? ""} ${release["ID_LIKE"] ?? ""}`.split(" ");
  const apt = names.includes("ubuntu") ? "ubuntu" : names.includes("debian") ? "debian" : null;
  return {
    platform: process.platform,
    apt: apt !== null && onPath(["apt-get"]) === null ? null : apt,
    codename: release["VERSION_CODENAME"] ?? "",
    root: process.getuid?.() === 0,
  };
}

/**
 * Looks for every requirement.
 *
 * @param {Machine} machine
 * @param {readonly Requirement[]} [rows]
 */
export function lookFor(machine, rows = requirements) {
  return rows.map((requirement) => ({ requirement, found: requirement.detect(machine) }));
}

/**
 * The steps that install `missing` on this machine, and what a person has to do by hand.
 *
 * @param {readonly Requirement[]} missing
 * @param {Machine} machine
 * @param {{ mirror?: string }} [options] `mirror`: the Debian archive this machine already uses.
 * @returns {{ steps: Step[], byHand: string[] }}
 */
export function planInstall(missing, machine, { mirror = "http://deb.debian.org/debian" } = {}) {
  const { apt } = machine;
  const packagesOf = (/** @type {Requirement} */ row) =>
    apt === "ubuntu" ? (row.ubuntu ?? row.debian) : row.debian;
  const byApt = apt === null ? [] : missing.filter((row) => packagesOf(row).length > 0);
  const byHand = missing
    .filter((row) => !byApt.includes(row))
    .map((row) => `${row.name}: ${elsewhere(row, machine.platform)}`);
  if (byApt.length === 0) return { steps: [], byHand };

  const fromBackports =
    machine.codename === "bookworm" ? byApt.filter((row) => row.backports === true) : [];
  const fromRelease = byApt.filter((row) => !fromBackports.includes(row));
  /** @type {Step[]} */
  const steps = [];
  if (fromBackports.length > 0) {
    steps.push({
      write: "/etc/apt/sources.list.d/latentkit-backports.list",
      content: `deb ${mirror} bookworm-backports main\n`,
    });
  }
  steps.push({ run: ["apt-get", "update"] });
  const install = ["apt-get", "install", "--yes", "--no-install-recommends"];
  if (fromRelease.length > 0) steps.push({ run: [...install, ...fromRelease.flatMap(packagesOf)] });
  if (fromBackports.length > 0) {
    steps.push({
      run: [...install, "-t", "bookworm-backports", ...fromBackports.flatMap(packagesOf)],
    });
  }
  return { steps, byHand };
}

/**
 * The steps as lines to type into a shell.
 *
 * @param {readonly Step[]} steps
 * @param {Machine} machine
 */
export function stepsAsShell(steps, machine) {
  const sudo = machine.root ? "" : "sudo ";
  return steps.map((step) =>
    "run" in step
      ? `${sudo}${step.run.join(" ")}`
      : `echo '${step.content.trim()}' | ${sudo}tee ${step.write} > /dev/null`,
  );
}

/** @param {Requirement} row @param {NodeJS.Platform} platform */
function elsewhere(row, platform) {
  return platform === "darwin" || platform === "win32"
    ? row.elsewhere[platform]
    : row.elsewhere.other;
}

/** @param {Machine} machine */
function findBlas({ platform }) {
  if (platform === "darwin") return "Accelerate";
  if (platform === "win32") return "not used on Windows";
  const require = createRequire(import.meta.url);
  /** @type {{ load(name: string): { unload(): void } }} */
  let koffi;
  try {
    koffi = require("koffi");
  } catch {
    // Without the foreign function interface the BLAS tests cannot run, whatever libraries there are.
    return null;
  }
  for (const name of ["libopenblas.so.0", "libopenblas.so"]) {
    try {
      koffi.load(name).unload();
      return name;
    } catch {
      continue;
    }
  }
  return null;
}

/** @param {Machine} machine */
function findVulkan({ platform }) {
  if (platform === "darwin") return "Metal";
  if (platform === "win32") return "Direct3D 12";
  // In a process of its own: a Vulkan driver that fails may take the process with it.
  const script = `import { create } from "webgpu";
const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (adapter !== null) console.log(adapter.info.description || adapter.info.device || adapter.info.vendor);`;
  const { status, stdout } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", script],
    { cwd: import.meta.dirname, encoding: "utf8", timeout: 60_000 },
  );
  const found = stdout.trim();
  return status === 0 && found !== "" ? found : null;
}

/** @param {Machine} machine */
function findChromium({ platform }) {
  const given = process.env["CHROMIUM_PATH"];
  const candidates =
    given === undefined || given === ""
      ? [
          onPath(["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]),
          ...(platform === "darwin"
            ? [
                "/Applications/Chromium.app/Contents/MacOS/Chromium",
                "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
              ]
            : []),
        ]
      : [given];
  for (const candidate of candidates) {
    if (candidate === null || !existsSync(candidate)) continue;
    // Chrome on Windows prints no version; elsewhere asking for it tells a browser from Ubuntu's snap placeholder.
    if (platform === "win32") return candidate;
    const { status, stdout } = spawnSync(candidate, ["--version"], {
      encoding: "utf8",
      timeout: 60_000,
    });
    if (status === 0) return `${candidate} (${stdout.trim()})`;
  }
  return null;
}

/** @param {readonly string[]} names */
export function onPath(names) {
  for (const name of names) {
    for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        continue;
      }
    }
  }
  return null;
}
