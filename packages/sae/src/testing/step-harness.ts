import type { Device, Tensor } from "@latentkit/tensor";
import type { TrainConfig } from "../train/config.ts";
import { trainingArchitectureOf } from "../train/registry.ts";
import {
  addInputBiasGradient,
  gradientsLike,
  type StepMemory,
  type StepResult,
} from "../train/step.ts";
import type { SaeTensors } from "../weights.ts";
import type { ReferenceParameters } from "./reference-step.ts";

/** What {@link gradientsOf} computes the gradients of. */
export interface HarnessStep {
  readonly device: Device;
  readonly config: TrainConfig;
  readonly parameters: ReferenceParameters;
  /** Further vectors, by name. */
  readonly extras?: Readonly<Record<string, Float64Array>>;
  readonly memory?: StepMemory;
  readonly step?: number;
  readonly x: Float64Array;
  /** What a transcoder should make of `x`; `x` itself by default. */
  readonly target?: Float64Array;
  /** W_skip, `[dOut, dIn]`. */
  readonly skip?: Float64Array | null;
  readonly variance?: number;
  readonly sparsity?: number;
  readonly dead?: Uint8Array | null;
  readonly dense?: boolean;
  readonly blockRows?: number;
}

/** Gradients of one batch as the trainer computes them, on the host. */
export interface HarnessGradients extends StepResult {
  readonly gradients: { readonly [Name in keyof Required<SaeTensors>]: Float32Array };
  readonly extras: Readonly<Record<string, Float32Array>>;
}

/** Runs an architecture's gradient step on small arrays. Leaves nothing on the device. */
export async function gradientsOf(step: HarnessStep): Promise<HarnessGradients> {
  const { device, config } = step;
  const { dSae } = config;
  const dOut = step.parameters.decoderBias.length;
  const dIn = step.parameters.encoderRows.length / dSae;
  const rows = step.x.length / dIn;
  const skip = step.skip ?? null;
  const upload = (values: Float64Array, shape: readonly number[]): Tensor =>
    device.tensor(Float32Array.from(values), shape);
  const parameters: SaeTensors = {
    encoderRows: upload(step.parameters.encoderRows, [dSae, dIn]),
    decoder: upload(step.parameters.decoder, [dSae, dOut]),
    encoderBias: upload(step.parameters.encoderBias, [dSae]),
    decoderBias: upload(step.parameters.decoderBias, [dOut]),
    threshold:
      step.parameters.threshold === null ? null : upload(step.parameters.threshold, [dSae]),
    skip: skip === null ? null : upload(skip, [dOut, dIn]),
  };
  const gradients = gradientsLike(device, parameters);
  using x = upload(step.x, [rows, dIn]);
  using target = upload(step.target ?? step.x, [rows, dOut]);
  const centred = config.transcoder === null && !("sites" in config);
  const extras = Object.fromEntries(
    Object.entries(step.extras ?? {}).map(([name, values]) => [
      name,
      { value: upload(values, [dSae]), gradient: device.zeros([dSae]) },
    ]),
  );
  const result = await trainingArchitectureOf(config).gradients({
    device,
    config,
    parameters,
    gradients,
    extras,
    memory: step.memory ?? {},
    step: step.step ?? 0,
    x,
    target,
    centred,
    variance: step.variance ?? 1,
    sparsity: step.sparsity ?? 0,
    dead: step.dead ?? null,
    blockRows: step.blockRows ?? 3,
    dense: step.dense ?? false,
  });
  if (centred) addInputBiasGradient(device, gradients, parameters);
  const read = (tensor: Tensor | null | undefined): Promise<Float32Array> =>
    tensor?.floats() ?? Promise.resolve(new Float32Array(0));
  const values = {
    encoderRows: await read(gradients.encoderRows),
    decoder: await read(gradients.decoder),
    encoderBias: await read(gradients.encoderBias),
    decoderBias: await read(gradients.decoderBias),
    threshold: await read(gradients.threshold),
    skip: await read(gradients.skip),
  };
  const extraValues: Record<string, Float32Array> = {};
  for (const [name, { value, gradient }] of Object.entries(extras)) {
    extraValues[name] = await gradient.floats();
    value.dispose();
    gradient.dispose();
  }
  for (const tensor of [...Object.values(parameters), ...Object.values(gradients)])
    tensor?.dispose();
  return { ...result, gradients: values, extras: extraValues };
}
