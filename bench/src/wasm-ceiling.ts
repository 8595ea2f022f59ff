import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { internalFault } from "@latentkit/core";

/** Twelve chains of four-lane multiply-adds that never touch memory. */
const source = `
export function run(rounds: i32): f32 {
  const x = f32x4.splat(1.0001), y = f32x4.splat(0.0001);
  let a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
  for (let round = 0; round < rounds; round++) {
    a = madd(a, x, y); b = madd(b, x, y); c = madd(c, x, y); d = madd(d, x, y);
    e = madd(e, x, y); f = madd(f, x, y); g = madd(g, x, y); h = madd(h, x, y);
    i = madd(i, x, y); j = madd(j, x, y); k = madd(k, x, y); l = madd(l, x, y);
  }
  const s = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h)));
  return f32x4.extract_lane(f32x4.add(s, f32x4.add(f32x4.add(i, j), f32x4.add(k, l))), 0);
}
// @ts-expect-error AssemblyScript's decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}
`;
const [chains, lanes, operations] = [12, 4, 2];

/** GFLOP/s that one thread of this engine reaches without touching memory: what no kernel can pass. */
export async function registerCeiling(relaxed: boolean): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "latentkit-ceiling-"));
  try {
    const [file, binary] = [join(folder, "ceiling.ts"), join(folder, "ceiling.wasm")];
    await writeFile(file, source);
    const flags = [
      "--outFile",
      binary,
      "--optimizeLevel",
      "3",
      "--runtime",
      "stub",
      "--enable",
      "simd",
    ];
    if (relaxed) flags.push("--enable", "relaxed-simd");
    const { error } = await (await compiler()).main([file, ...flags]);
    if (error !== null) throw internalFault(`the ceiling's loop did not compile: ${error.message}`);
    const { run } = await instantiate(await readFile(binary));
    const rounds = 4_000_000;
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 12; round++) {
      const start = performance.now();
      run(rounds);
      best = Math.min(best, performance.now() - start);
    }
    return (rounds * chains * lanes * operations) / (best * 1e6);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Loop {
  readonly run: (rounds: number) => number;
}

interface Compiler {
  main(args: readonly string[]): Promise<{ readonly error: Error | null }>;
}

/** AssemblyScript's compiler. Its types would redeclare globals for the whole program, so they stay out. */
async function compiler(): Promise<Compiler> {
  const name = "assemblyscript/asc";
  const loaded: unknown = await import(name);
  return (loaded as { readonly default: Compiler }).default; // as its documentation has it
}

/** The compiler's DOM library declares WebAssembly, and all of the DOM with it; this is what is used here. */
async function instantiate(binary: Uint8Array): Promise<Loop> {
  // Node has this global.
  const { WebAssembly: engine } = globalThis as unknown as {
    WebAssembly: {
      instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: unknown } }>;
    };
  };
  const { instance } = await engine.instantiate(binary, {});
  return instance.exports as Loop; // as the source above exports it
}
