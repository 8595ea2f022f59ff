const marker = Symbol.for("latentkit.error");

/** What every Latentkit error carries. `fix` is the one thing the reader should do next. */
export interface ErrorDetails {
  /** Stable, documented name of the fault, for example `FORMAT_TRUNCATED`. One page each under `docs/errors`. */
  readonly code: string;
  /** What was given and what was expected. */
  readonly message: string;
  /** What to do about it, as an instruction. */
  readonly fix: string;
  /** Where it happened: a file, a tensor, a site, a flag. */
  readonly where?: string | undefined;
  /** The error underneath, if any. */
  readonly cause?: unknown;
}

/**
 * The base of all errors that Latentkit throws on purpose.
 *
 * `instanceof` fails when two copies of a package are installed, so test with {@link LatentkitError.isInstance}.
 */
export class LatentkitError extends Error {
  readonly code: string;
  readonly fix: string;
  readonly where: string | undefined;
  readonly [marker] = true as const;

  constructor(details: ErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = details.code;
    this.fix = details.fix;
    this.where = details.where;
  }

  /** Whether `value` is a Latentkit error, from this copy of the package or another. */
  static isInstance(value: unknown): value is LatentkitError {
    return typeof value === "object" && value !== null && marker in value;
  }
}

/** Shapes that do not fit each other or the operator. */
export class ShapeError extends LatentkitError {}
/** A dtype that the operator or the file does not know. */
export class DTypeError extends LatentkitError {}
/** A device, backend or native library that cannot do what was asked: out of memory, missing, lost. */
export class DeviceError extends LatentkitError {}
/** Bytes that are not what their format promises. */
export class FormatError extends LatentkitError {}
/** A configuration, flag or option that does not parse. */
export class ConfigError extends LatentkitError {}
/** Two artefacts that do not belong together, for example an SAE of another width than the site. */
export class MismatchError extends LatentkitError {}
/** The file system or network refused: no such file, no space, no permission. */
export class IoError extends LatentkitError {}
/** The caller's `AbortSignal` fired. Nothing already written is lost. */
export class AbortedError extends LatentkitError {}

/**
 * Two lines a person can act on: what happened and what to do.
 *
 * @example
 * describeError(error); // "FORMAT_TRUNCATED model.safetensors: 12 bytes, ...\n  fix: download the file again"
 */
export function describeError(error: unknown): string {
  if (LatentkitError.isInstance(error)) {
    const where = error.where === undefined ? "" : `${error.where}: `;
    return `${error.code} ${where}${error.message}\n  fix: ${error.fix}`;
  }
  const message = error instanceof Error ? error.message : String(error);
  return `UNEXPECTED ${message}\n  fix: this is a fault in Latentkit; run again with LATENTKIT_DEBUG=1 and report the stack`;
}

/** The error for what cannot happen: a broken invariant, and never the caller's mistake. */
export function internalFault(message: string): LatentkitError {
  return new LatentkitError({
    code: "INTERNAL_FAULT",
    message,
    fix: "this is a fault in Latentkit: report it",
  });
}
