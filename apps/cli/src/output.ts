import { renderTable } from "@latentkit/report";
import type { Writable } from "node:stream";
import type { Terminal } from "./terminal.ts";

/** What a command prints for people. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** A last line, for example where the result was written. */
  readonly footer?: string;
}

/** Prints `result` as one JSON document, or the table that `table` makes of it. */
export function printResult(
  terminal: Terminal,
  json: boolean,
  result: unknown,
  table: () => Table,
): void {
  if (json) {
    terminal.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  printTable(terminal.stdout, table());
}

/** Prints a table, and its last line if it has one. */
export function printTable(to: Writable, { columns, rows, footer }: Table): void {
  to.write(
    `${renderTable(
      columns.map((name) => ({ name })),
      rows,
    )}\n`,
  );
  if (footer !== undefined) to.write(`\n${footer}\n`);
}
