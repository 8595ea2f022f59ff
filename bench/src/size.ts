/**
 * Whether `BENCH_SMALL=1` asks for sizes that prove no more than that a bench and its peer run from end to end. Benches that know of it
 * mark their rows; the others are as large as ever.
 */
export const small: boolean = process.env["BENCH_SMALL"] === "1";

/** The device of a row, marked where its sizes were reduced, so that nobody takes the row for a measurement. */
export function markedDevice(device: string, reduced: boolean = small): string {
  return reduced ? `${device}, reduced size` : device;
}
