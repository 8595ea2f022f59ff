// The parts of the WebAssembly API that are used. The compiler's DOM library declares them, and all of the DOM with them.

/** A `WebAssembly.Memory`, shared between threads or not. */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike;
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
    readonly shared?: boolean;
  }) => WasmMemory;
  readonly Instance: new (
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: unknown };
  readonly CompileError: new (message?: string) => Error;
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<WasmModule>;
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
}

/** The engine's WebAssembly, or undefined where there is none. */
export function wasmEngine(): WasmEngine | undefined {
  // Every engine that has the global has these members. By way of unknown, since programs with the DOM's types know it by others.
  return (globalThis as unknown as { WebAssembly?: WasmEngine }).WebAssembly;
}
