// Made by oracles/tensor/training_curve.py; oracles/tensor/versions.txt says with what.
import goldens from "./goldens/training-curve.json" with { type: "json" };
import type { ModelSizes, TrainingSettings } from "./suite/training-model.ts";

/** A tensor of a golden: its elements, little-endian, in base64. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly f32?: string;
  readonly i32?: string;
}

/** Losses and norms of the gradients by step. */
export interface GoldenCurve {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
}

/** Fifty steps of a two-layer Llama in PyTorch, for whatever trains one to be compared with. */
export interface TrainingCurveGolden {
  readonly sizes: ModelSizes & { readonly batch: number; readonly length: number };
  readonly training: TrainingSettings;
  /** i32 [steps, batch, length]. */
  readonly tokens: GoldenTensor;
  readonly cases: Readonly<
    Record<
      "tied" | "untied",
      {
        /** By name, `layers.0.query` for example. */
        readonly weights: Readonly<Record<string, GoldenTensor>>;
        readonly f32: GoldenCurve;
        readonly f64: GoldenCurve;
      }
    >
  >;
}

/** See {@link TrainingCurveGolden}. */
export const trainingCurveGolden: TrainingCurveGolden = goldens;
