/** Six significant digits for every fraction in a JSON value: files stay small, and no figure here is known better. */
export function roundNumbers<Value>(value: Value): Value {
  // Rounding keeps the shape, which the type system cannot follow through the recursion.
  return rounded(value) as Value;
}

function rounded(value: unknown): unknown {
  if (typeof value === "number")
    return Number.isInteger(value) ? value : Number(value.toPrecision(6));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, rounded(entry)]));
  return value;
}
