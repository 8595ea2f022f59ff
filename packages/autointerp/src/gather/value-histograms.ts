/** Bins that are counted; half of them or more are in use once a value came. */
const bins = 128;

/** Counts of values above 0 in equal bins from 0 on. */
export interface ValueHistogram {
  /** Middle of each bin. */
  readonly values: readonly number[];
  readonly heights: readonly number[];
}

/**
 * Exact histograms of streams of positive values whose range is not known beforehand: where a value lies beyond the last bin, bins
 * are merged in pairs and the range doubles. The range is a power of two, so that edges do not depend on the order of the values.
 */
export class ValueHistograms {
  /** `[streams, 128]`. */
  readonly counts: Int32Array;
  /** `[streams]`; 0 before the first value. */
  readonly ranges: Float32Array;

  constructor(
    streams: number,
    counts: Int32Array = new Int32Array(streams * bins),
    ranges: Float32Array = new Float32Array(streams),
  ) {
    this.counts = counts;
    this.ranges = ranges;
  }

  add(stream: number, value: number): void {
    let range = this.ranges[stream] ?? 0;
    if (range === 0) range = 2 ** Math.ceil(Math.log2(value));
    const start = stream * bins;
    while (value > range) {
      for (let bin = 0; bin < bins; bin++) {
        const merged =
          bin < bins / 2
            ? (this.counts[start + 2 * bin] ?? 0) + (this.counts[start + 2 * bin + 1] ?? 0)
            : 0;
        this.counts[start + bin] = merged;
      }
      range *= 2;
    }
    this.ranges[stream] = range;
    const bin = Math.min(bins - 1, Math.floor((value / range) * bins));
    this.counts[start + bin] = (this.counts[start + bin] ?? 0) + 1;
  }

  /** The bins up to the last one with a value, in pairs: between 32 and 64 of them. */
  read(stream: number): ValueHistogram {
    const counts = this.counts.subarray(stream * bins, (stream + 1) * bins);
    let last = bins - 1;
    while (last >= 0 && counts[last] === 0) last -= 1;
    const width = ((this.ranges[stream] ?? 0) * 2) / bins;
    const heights = Array.from(
      { length: Math.floor(last / 2) + 1 },
      (_, pair) => (counts[2 * pair] ?? 0) + (counts[2 * pair + 1] ?? 0),
    );
    return { heights, values: heights.map((_, pair) => (pair + 0.5) * width) };
  }
}
