// Compiles src/wasm/assembly/vectors.ts with AssemblyScript into src/wasm/vectors.generated.ts, which git does not keep.
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const source = fileURLToPath(new URL("../src/wasm/assembly/vectors.ts", import.meta.url));
const output = fileURLToPath(new URL("../src/wasm/vectors.generated.ts", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "latentkit-wasm-"));
try {
  const binary = join(scratch, "vectors.wasm");
  const options =
    "--optimizeLevel 3 --shrinkLevel 0 --noAssert --runtime stub --importMemory --enable simd";
  const { error, stderr } = await asc.main([source, "--outFile", binary, ...options.split(" ")]);
  if (error !== null) {
    process.stderr.write(stderr.toString());
    throw error;
  }
  const module = readFileSync(binary).toString("base64");
  const text = `// Made by tools/build-wasm.mjs from src/wasm/assembly. Do not edit.

/** The module, base64. */
export const vectorsModule: string = "${module}";
`;
  writeFileSync(`${output}.${process.pid}`, text);
  renameSync(`${output}.${process.pid}`, output);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
