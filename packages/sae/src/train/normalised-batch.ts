import { affine, type Device, mul, type Tensor } from "@latentkit/tensor";
import { splitColumns, type StreamLayout } from "./layout.ts";
import { type InputStatistics, scalesOf } from "./normalise.ts";

/** A batch as a gradient step reads it. */
export interface NormalisedBatch {
  /** `[n, dIn]`. */
  readonly x: Tensor;
  /** `[n, dOut]`; a second handle to `x` where the target is the input. */
  readonly target: Tensor;
}

/** Rows `[n, width]` of a stream on the device, each group of columns over its scale. The caller disposes both tensors. */
export function normalisedBatch(
  device: Device,
  rows: Float32Array,
  layout: StreamLayout,
  statistics: InputStatistics,
): NormalisedBatch {
  const [scale = 1, targetScale = 1] = scalesOf(statistics);
  const { width, dIn, dOut } = layout;
  const count = rows.length / width;
  const over = (values: Float32Array, columns: number, by: number): Tensor =>
    affine(device.tensor(values, [count, columns]), { factor: 1 / by, bias: 0 });
  return device.scope(() => {
    if (layout.transcoder) {
      const { input, target } = splitColumns(rows, layout);
      return { x: over(input, dIn, scale), target: over(target, dOut, targetScale) };
    }
    const x =
      layout.groups.length === 1
        ? over(rows, width, scale)
        : mul(
            device.tensor(rows, [count, width]),
            device.tensor(
              Float32Array.from(columnScales(layout, statistics), (one) => 1 / one),
              [width],
            ),
          );
    return { x, target: x.reshape(x.shape) };
  });
}

/** Rows `[n, width]`, each group of columns over its scale, on the host. */
export function normalisedRows(
  rows: Float32Array,
  layout: StreamLayout,
  statistics: InputStatistics,
): Float32Array {
  const scales = columnScales(layout, statistics);
  return rows.map((value, at) => value / (scales[at % scales.length] ?? 1));
}

/** The scale of each column. */
function columnScales(layout: StreamLayout, statistics: InputStatistics): number[] {
  const scales = scalesOf(statistics);
  return layout.groups.flatMap((width, group) =>
    Array.from({ length: width }, () => scales[group] ?? 1),
  );
}
