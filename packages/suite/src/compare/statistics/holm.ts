/**
 * p-values of a family of tests, adjusted by Holm's step-down (1979): those at or below alpha may be rejected together, with a chance of
 * at most alpha that any of them is true. In the order given; null stays null and counts for nothing.
 */
export function holm(ps: readonly (number | null)[]): (number | null)[] {
  const order = ps
    .flatMap((p, place) => (p === null ? [] : [{ p, place }]))
    .toSorted((a, b) => a.p - b.p);
  const adjusted: (number | null)[] = ps.map(() => null);
  let largest = 0;
  for (const [rank, { p, place }] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (order.length - rank) * p));
    adjusted[place] = largest;
  }
  return adjusted;
}
