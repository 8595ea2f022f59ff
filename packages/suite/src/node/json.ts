import { hashBytes } from "@latentkit/loaders";

/** One field in which two JSON values differ. */
export interface Difference {
  /** Dotted path of the field. */
  readonly field: string;
  readonly before: unknown;
  readonly now: unknown;
}

/** The fields in which two JSON values differ. */
export function differences(before: unknown, now: unknown, path = ""): Difference[] {
  if (!isRecord(before) || !isRecord(now))
    return Object.is(before, now) ? [] : [{ field: path, before, now }];
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys].flatMap((key) =>
    differences(before[key], now[key], path === "" ? key : `${path}.${key}`),
  );
}

/** sha256 of a JSON value, whatever the order of its keys. */
export function hashJson(value: unknown): string {
  return hashBytes(new TextEncoder().encode(JSON.stringify(sorted(value))));
}

/** A value as a JSON file would give it back: without fields that are undefined. */
export function asJson(value: unknown): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(value ?? null));
  return copy;
}

/** Two spaces of indent and a newline at the end. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
