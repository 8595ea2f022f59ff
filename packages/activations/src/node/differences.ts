/** One field in which two configurations differ. */
export interface Difference {
  /** Dotted path of the field. */
  readonly field: string;
  readonly before: unknown;
  readonly now: unknown;
}

/** The fields in which two JSON values differ, in order of `before` and then of what `now` adds. */
export function differences(before: unknown, now: unknown, path = ""): Difference[] {
  if (!isRecord(before) || !isRecord(now))
    return Object.is(before, now) ? [] : [{ field: path, before, now }];
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys].flatMap((key) =>
    differences(before[key], now[key], path === "" ? key : `${path}.${key}`),
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
