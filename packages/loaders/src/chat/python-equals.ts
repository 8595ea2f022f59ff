/**
 * Whether two values of a template are equal in Python: numbers and truth values by number, lists and dictionaries by what is in
 * them, everything else by kind and value. What is in lists and dictionaries comes wrapped, as `{ value }`.
 *
 * @param leftIsNone whether the left is `none`, whose value looks as that of what is not defined.
 */
export function pythonEquals(
  left: unknown,
  right: unknown,
  leftIsNone = false,
  rightIsNone = false,
): boolean {
  if (leftIsNone || rightIsNone) return leftIsNone && rightIsNone;
  if (isNumeric(left) && isNumeric(right)) return Number(left) === Number(right);
  if (Array.isArray(left) && Array.isArray(right)) {
    const others: readonly unknown[] = right;
    return (
      left.length === right.length &&
      left.every((item, at) => pythonEquals(unwrap(item), unwrap(others[at])))
    );
  }
  if (left instanceof Map && right instanceof Map) {
    const others: ReadonlyMap<unknown, unknown> = right;
    return (
      left.size === others.size &&
      [...left].every(
        ([key, item]) => others.has(key) && pythonEquals(unwrap(item), unwrap(others.get(key))),
      )
    );
  }
  return left === right;
}

function isNumeric(value: unknown): boolean {
  return typeof value === "number" || typeof value === "boolean";
}

function unwrap(item: unknown): unknown {
  return typeof item === "object" && item !== null && "value" in item ? item.value : item;
}
