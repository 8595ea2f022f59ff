import { MismatchError } from "@latentkit/core";
import type { TrainConfig } from "./config.ts";

/** What the columns of a stream's rows are to a training. */
export interface StreamLayout {
  /** Width of a row. */
  readonly width: number;
  /** Width of what the encoder reads: the first columns. */
  readonly dIn: number;
  /** Width of what is reconstructed: for a transcoder the columns after the input, else the input. */
  readonly dOut: number;
  /** Whether what is reconstructed comes after the input in a row. */
  readonly transcoder: boolean;
  /** Whether the encoder sees x - b_dec. */
  readonly centred: boolean;
  /** Widths of the neighbouring columns that are divided by a number of their own. */
  readonly groups: readonly number[];
  /** Whether the first group's number is that of all. */
  readonly sharedScale: boolean;
}

/**
 * How a training reads rows of `width`: an autoencoder all of them; a transcoder its input's columns, then its target's; a crosscoder
 * its sites in order.
 *
 * @throws MismatchError `TRAIN_STREAM_WIDTH` where the configuration's sites do not make up such a row
 */
export function layoutOf(config: TrainConfig, width: number): StreamLayout {
  if ("sites" in config) {
    const groups = config.sites.map((site) => site.width);
    const sum = groups.reduce((total, one) => total + one, 0);
    if (sum !== width)
      throw wrongWidth(width, `the configuration's sites are ${groups.join(" + ")} = ${sum} wide`);
    return {
      width,
      dIn: width,
      dOut: width,
      transcoder: false,
      centred: false,
      groups,
      sharedScale: false,
    };
  }
  const { transcoder } = config;
  if (transcoder === null) {
    const groups = [width];
    return {
      width,
      dIn: width,
      dOut: width,
      transcoder: false,
      centred: true,
      groups,
      sharedScale: false,
    };
  }
  const { dOut } = transcoder;
  const dIn = width - dOut;
  if (dIn < 1) throw wrongWidth(width, `the transcoder's target alone is ${dOut} wide`);
  const sharedScale = transcoder.targetScale === "input";
  return { width, dIn, dOut, transcoder: true, centred: false, groups: [dIn, dOut], sharedScale };
}

/** The input and the target of rows `[n, width]`; one array where they are the same. */
export function splitColumns(
  rows: Float32Array,
  { width, dIn, dOut, transcoder }: StreamLayout,
): { readonly input: Float32Array; readonly target: Float32Array } {
  if (!transcoder) return { input: rows, target: rows };
  const count = rows.length / width;
  const [input, target] = [new Float32Array(count * dIn), new Float32Array(count * dOut)];
  for (let row = 0; row < count; row++) {
    input.set(rows.subarray(row * width, row * width + dIn), row * dIn);
    target.set(rows.subarray(row * width + dIn, (row + 1) * width), row * dOut);
  }
  return { input, target };
}

function wrongWidth(width: number, what: string): MismatchError {
  return new MismatchError({
    code: "TRAIN_STREAM_WIDTH",
    message: `the stream's rows are ${width} wide, but ${what}`,
    fix: "give a stream that has the sites side by side, for example that of joinStores",
  });
}
