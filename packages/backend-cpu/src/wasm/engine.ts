// The parts of the WebAssembly API that are used. The compiler's DOM library declares them, and all of the DOM with them.

/** A `WebAssembly.Memory` that is not shared between threads. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** A compiled module. */
export interface WasmModule {
  readonly [Symbol.toStringTag]: string;
}

interface WasmEngine {
  readonly Memory: new (descriptor: {
    readonly initial: number;
    readonly maximum: number;
  }) => WasmMemory;
  readonly CompileError: new (message?: string) => Error;
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<WasmModule>;
  instantiate(
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ): Promise<{ readonly exports: unknown }>;
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
}

/** The engine's WebAssembly, or undefined where there is none. */
export function wasmEngine(): WasmEngine | undefined {
  // Every engine that has the global has these members.
  return (globalThis as { WebAssembly?: WasmEngine }).WebAssembly;
}
