// What the host tells about itself. Everything here is optional: browsers have none of it.

/** The parts of `node:fs` that are used. */
interface FileSystem {
  readFileSync(path: string, encoding: "utf8"): string;
  realpathSync(path: string): string;
}

/** The parts of Node's `process` that are used. */
interface NodeProcess {
  readonly platform: string;
  readonly arch: string;
  readonly env: Record<string, string | undefined>;
  readonly versions: { readonly node?: string | undefined };
  readonly getBuiltinModule?: ((name: string) => unknown) | undefined;
  on(event: "exit", listener: () => void): void;
  emitWarning(message: string, options: { readonly type: string; readonly code: string }): void;
}

/** Node's `process`, or null elsewhere. Not imported, so that bundlers for browsers find nothing to resolve. */
export function nodeProcess(): NodeProcess | null {
  // The global has this shape wherever it has a Node version.
  const { process } = globalThis as { process?: NodeProcess };
  return process?.versions?.node === undefined ? null : process;
}

/** One of Node's own modules, or null elsewhere. */
export function nodeBuiltin(name: string): unknown {
  return nodeProcess()?.getBuiltinModule?.(name) ?? null;
}

/** Node's file system, or null elsewhere. */
export function fileSystem(): FileSystem | null {
  // `node:fs` is the module with these functions.
  return nodeBuiltin("node:fs") as FileSystem | null;
}

/** How many threads this machine runs at a time: processors as Node counts them; 1 where that is not known. */
export function processors(): number {
  // `node:os` has this member.
  const os = nodeBuiltin("node:os") as { availableParallelism(): number } | null;
  return os?.availableParallelism() ?? 1;
}

/** CPU features as Linux names them (`avx2`, `avx512f`, ...); empty where they cannot be read. */
export function cpuFlags(): ReadonlySet<string> {
  try {
    const text = fileSystem()?.readFileSync("/proc/cpuinfo", "utf8") ?? "";
    return new Set(/^flags\s*:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/) ?? []);
  } catch {
    return new Set();
  }
}
