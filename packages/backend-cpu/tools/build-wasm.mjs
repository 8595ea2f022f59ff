// Compiles src/wasm/assembly/*.ts with AssemblyScript, plain and with relaxed SIMD (fused multiply-add), and writes both modules
// with the types of their exports into src/wasm/kernels.generated.ts; then bundles src/threads/helper.ts, what a helper thread
// runs, into src/threads/helper.generated.ts. Git keeps neither.
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { build as bundle } from "esbuild";

const folder = fileURLToPath(new URL("../src/wasm/assembly/", import.meta.url));
const output = fileURLToPath(new URL("../src/wasm/kernels.generated.ts", import.meta.url));
const helpers = new Set(["lanes.ts", "functions.ts", "row-exponentials.ts", "stored-lanes.ts"]);
const families = readdirSync(folder)
  .filter((name) => name.endsWith(".ts") && !helpers.has(name))
  .sort();

async function compile(relaxed) {
  const scratch = mkdtempSync(join(tmpdir(), "latentkit-wasm-"));
  try {
    const binary = join(scratch, "kernels.wasm");
    const flags = [
      "--outFile",
      binary,
      "--optimizeLevel",
      "3",
      "--shrinkLevel",
      "0",
      "--noAssert",
      "--runtime",
      "stub",
      "--importMemory",
    ];
    const features = [
      "--initialMemory",
      "1",
      "--maximumMemory",
      "65536",
      "--exportStart",
      "",
      "--enable",
      "simd",
    ];
    if (relaxed) features.push("--enable", "relaxed-simd");
    const { error, stderr } = await asc.main([
      ...families.map((name) => join(folder, name)),
      ...flags,
      ...features.filter((flag, i) => flag !== "" && features[i + 1] !== ""),
    ]);
    if (error !== null) {
      process.stderr.write(stderr.toString());
      throw error;
    }
    return readFileSync(binary);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The exports' types, from their declarations: every parameter and result is a number. */
function declarations() {
  const lines = [];
  for (const name of families) {
    const source = readFileSync(join(folder, name), "utf8");
    for (const [, fn, list, result] of source.matchAll(
      /^export function (\w+)\(([^)]*)\): (\w+)/gm,
    )) {
      const names = list
        .split(",")
        .map((part) => part.split(":")[0].trim())
        .filter((part) => part !== "");
      lines.push(
        `  readonly ${fn}: (${names.map((each) => `${each}: number`).join(", ")}) => ${result === "void" ? "void" : "number"};`,
      );
    }
  }
  return lines.join("\n");
}

/**
 * Where the module says what kind of memory it imports: a byte of limits flags, 1 for a memory with a maximum. Threads share a
 * memory if it is 3; nothing else of the module differs.
 */
function memoryFlagsOffset(binary) {
  const name = Buffer.from("\x03env\x06memory\x02\x01", "latin1");
  const at = binary.indexOf(name);
  if (at < 0 || binary.indexOf(name, at + 1) >= 0)
    throw new Error("the module's memory import was not found once");
  return at + name.length - 1;
}

const [plain, relaxed] = [await compile(false), await compile(true)];
const build = createHash("sha256").update(plain).update(relaxed).digest("hex").slice(0, 12);
const text = `// Made by tools/build-wasm.mjs from src/wasm/assembly. Do not edit.

/** Functions that the module exports. Pointers are byte addresses. */
export interface KernelExports {
${declarations()}
}

/** Hash of both modules. */
export const build: string = "${build}";

/** Place of the byte that says what kind of memory the plain module imports. */
export const plainMemoryFlags: number = ${memoryFlagsOffset(plain)};

/** The same of the relaxed module. */
export const relaxedMemoryFlags: number = ${memoryFlagsOffset(relaxed)};

/** The module for any engine with SIMD, base64. */
export const plainModule: string = "${plain.toString("base64")}";

/** The module for engines with relaxed SIMD, base64. */
export const relaxedModule: string = "${relaxed.toString("base64")}";
`;
replace(output, text);

const helper = await bundle({
  entryPoints: [fileURLToPath(new URL("../src/threads/helper.ts", import.meta.url))],
  bundle: true,
  write: false,
  platform: "node",
  format: "cjs",
  target: "node20.19",
  conditions: ["@latentkit/source"],
  minify: true,
});
replace(
  fileURLToPath(new URL("../src/threads/helper.generated.ts", import.meta.url)),
  `// Made by tools/build-wasm.mjs from src/threads/helper.ts. Do not edit.

/** What a helper thread runs. */
export const helperSource: string = ${JSON.stringify(helper.outputFiles[0].text)};
`,
);

/** Whole files only, whoever reads meanwhile. */
function replace(path, content) {
  writeFileSync(`${path}.${process.pid}`, content);
  renameSync(`${path}.${process.pid}`, path);
}

process.stdout.write(`kernels ${build}: ${plain.length} and ${relaxed.length} bytes\n`);
