// The layers of the house (docs/adr/0001-monorepo-and-layers.md) as rules: `npm run layers`.
// tests/house/layers.test.ts plants a violation of each rule and sees it fail.
const { existsSync, readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");

// The folder to check: the tests point this at a planted copy.
const root = process.env.LATENTKIT_LAYERS_ROOT ?? __dirname;

/** From the ground up. A package may import from layers below its own, and from its own layer (but never in a cycle). */
const layers = [
  { name: "ground", packages: ["core"] },
  { name: "engine", packages: ["tensor"] },
  { name: "backends", packages: ["backend-cpu", "backend-webgpu", "device", "linalg"] },
  { name: "loading", packages: ["loaders"] },
  { name: "models", packages: ["models"] },
  { name: "activations", packages: ["activations"] },
  {
    name: "methods",
    packages: [
      "sae",
      "lora",
      "steering",
      "training",
      "eval",
      "report",
      "worlds",
      "openai-api",
      "analysis",
      "circuits",
      "autointerp",
    ],
  },
  {
    name: "studies",
    packages: ["taxonomy", "misalignment", "elicitation", "entities", "cot", "probes", "safety"],
  },
  { name: "suite", packages: ["suite", "tiny"] },
];

const oneOf = (/** @type {string[]} */ names) => `(?:${names.join("|")})`;
const test = "(?:[.]test[.]ts$|/__fixtures__/|/src/testing/)";

const upward = layers.slice(0, -1).map(({ name, packages }, index) => ({
  name: `no-import-up-from-${name}`,
  comment: `The layer "${name}" must not import from a layer above it. Move the code down, or pass what is needed in.`,
  severity: "error",
  from: { path: `^packages/${oneOf(packages)}/` },
  to: { path: `^packages/${oneOf(layers.slice(index + 1).flatMap((layer) => layer.packages))}/` },
}));

/** The source file behind each public entry of each package. */
function publicEntries() {
  const folder = join(root, "packages");
  return readdirSync(folder).flatMap((name) => {
    const manifest = join(folder, name, "package.json");
    if (!existsSync(manifest)) return [];
    const { exports = {} } = JSON.parse(readFileSync(manifest, "utf8"));
    return Object.values(exports)
      .map((target) => (typeof target === "string" ? target : target["@latentkit/source"]))
      .filter((target) => target !== undefined)
      .map((target) => `packages/${name}/${target.replace("./", "")}`.replaceAll(".", "[.]"));
  });
}

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    ...upward,
    {
      name: "every-package-has-a-layer",
      comment: "A new package needs its row in the table of layers above.",
      severity: "error",
      from: {
        path: "^packages/",
        pathNot: `^packages/${oneOf(layers.flatMap((layer) => layer.packages))}/`,
      },
      to: {},
    },
    {
      name: "no-import-of-apps",
      comment: "Nothing stands on an app, save tests and benches.",
      severity: "error",
      from: { path: "^packages/" },
      to: { path: "^(?:apps|tests|bench|docs)/" },
    },
    {
      name: "no-package-on-tiny",
      comment:
        "The embedded model is data of some 20 MB. Apps, tests, benches and docs may use it; a package would make all its users install it.",
      severity: "error",
      from: { path: "^packages/", pathNot: "^packages/tiny/" },
      to: { path: "^packages/tiny/" },
    },
    {
      name: "no-cycle",
      comment: "A cycle has no order in which to read it. Types alone may meet.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "only-public-entries",
      comment: "Import another package by its name and its public entry, not by a file inside it.",
      severity: "error",
      from: { path: "^(packages|apps)/([^/]+)/" },
      to: {
        path: "^(?:packages|apps)/",
        pathNot: ["^$1/$2/", `^(?:${publicEntries().join("|")})$`],
      },
    },
    {
      name: "no-relative-path-out-of-a-package",
      comment:
        "A relative path that leaves the package breaks once the package is installed. Import it by name.",
      severity: "error",
      from: { path: "^(packages|apps)/([^/]+)/src/" },
      to: { pathNot: ["^$1/$2/", "node_modules"], dependencyTypes: ["local"] },
    },
    {
      name: "no-deep-import-from-outside",
      comment: "tests/ and bench/ use packages by their public entries too.",
      severity: "error",
      from: { path: "^(?:tests|bench)/" },
      to: { path: "^(?:packages|apps)/[^/]+/src/", pathNot: `^(?:${publicEntries().join("|")})$` },
    },
    {
      name: "resolvable",
      comment:
        "The import leads nowhere: a missing file, package, or an entry that the package does not export.",
      severity: "error",
      from: {},
      to: {
        couldNotResolve: true,
        dependencyTypesNot: ["type-only"],
        // @webgpu/types has declarations only, and so no entry to resolve.
        pathNot: "[.]generated(?:[.]|$)|^@webgpu/types$",
      },
    },
    {
      name: "no-node-in-browser-safe-code",
      comment: "Packages run in browsers: files, processes and workers of Node belong in src/node.",
      severity: "error",
      from: { path: "^packages/[^/]+/src/", pathNot: ["/src/node/", test] },
      to: { dependencyTypes: ["core"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "no-node-entry-in-browser-safe-code",
      comment: "Browser-safe code must not reach the Node entry of its own package or another.",
      severity: "error",
      from: { path: "^packages/[^/]+/src/", pathNot: ["/src/node/", test] },
      to: {
        path: "^packages/[^/]+/src/node/",
        dependencyTypesNot: ["type-only", "dynamic-import"],
      },
    },
    {
      name: "no-dev-dependency-in-source",
      comment: "What src imports, users must get: a dependency or a peer, not a dev dependency.",
      severity: "error",
      from: { path: "^(?:packages|apps)/[^/]+/src/", pathNot: test },
      to: {
        dependencyTypes: ["npm-dev"],
        dependencyTypesNot: ["type-only", "npm-peer", "npm-optional"],
      },
    },
    {
      name: "declared-dependency",
      comment:
        "The import is in no package.json on the way up: add it to this package's dependencies.",
      severity: "error",
      from: { path: "^(?:packages|apps)/[^/]+/src/", pathNot: test },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    baseDir: root,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(?:packages|apps)/[^/]+/(?:dist/|src/wasm/assembly/)" },
    tsPreCompilationDeps: true,
    detectProcessBuiltinModuleCalls: true,
    parser: "tsc",
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@latentkit/source", "import", "types", "node", "default"],
      extensions: [".ts", ".mts", ".js", ".mjs", ".cjs", ".json", ".d.ts"],
    },
  },
};
