/** Invocations of a workgroup that works on one row: few for short rows, whose ends would be idle. */
export function lanesFor(columns: number): number {
  return columns > 2048 ? 256 : 64;
}

/** Text of a loop over one row's columns, the invocations side by side; `at` is the element's place. */
export function overRow(text: string): string {
  return `for (var c = lane; c < p.columns; c += LANES) {
    let at = group * p.columns + c;
    ${text}
  }`;
}

/** Text that sums `term` over a row into a constant, see `runningSum`; the `call`-th such text of a program, from 1 on. */
export function rowSum(name: string, term: string, call: 1 | 2 | 3 = 1): string {
  return `clear_total();
  ${overRow(`add_term(${term});`)}
  let ${name} = group_sum${call === 1 ? "" : `_${call}`}(lane, total_of());`;
}
