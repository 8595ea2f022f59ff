import type { Device } from "@latentkit/tensor";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { trainConfigSchema } from "../train/config.ts";
import { layoutOf, splitColumns } from "../train/layout.ts";
import { trainSae } from "../train/train-sae.ts";
import { goldenStart, inOrder } from "./golden-run.ts";
import { gradientsOf, type HarnessGradients } from "./step-harness.ts";

const numbers = z.array(z.number());
const arrays = z.record(z.string(), numbers);

/** One training of a golden: where it starts, a step half-way, its losses, and where it ends. Parameters by the names of checkpoints. */
export const goldenCaseSchema = z.object({
  config: trainConfigSchema,
  start: arrays,
  losses: numbers,
  deadCounts: numbers,
  parameters: arrays,
  memory: arrays.optional(),
  gradients: z.object({
    step: z.int(),
    dead: numbers,
    sparsity: z.number(),
    loss: z.number(),
    memory: arrays.optional(),
    parameters: arrays,
    values: arrays,
    x: z.array(numbers),
  }),
});

/** See {@link goldenCaseSchema}. */
export type GoldenStepCase = z.infer<typeof goldenCaseSchema>;

/** What a golden's cases are about: rows `[n, dIn]`, and their statistics. */
export interface GoldenStream {
  /** Width of a row. */
  readonly dIn: number;
  readonly scale: number;
  readonly scales?: readonly number[] | undefined;
  readonly variance: number;
  readonly rows: Float32Array;
}

/** Reads a JSON file of `__fixtures__`. */
export function readFixture<T>(name: string, schema: z.ZodType<T>): T {
  const url = new URL(`../__fixtures__/${name}`, import.meta.url);
  return schema.parse(JSON.parse(readFileSync(url, "utf8")));
}

/** The gradients of the step half-way, computed here, by the names that the golden has them under. */
export async function goldenGradients(
  device: Device,
  stream: GoldenStream,
  { config, gradients }: GoldenStepCase,
): Promise<{
  readonly result: HarnessGradients;
  readonly ours: Readonly<Record<string, Float32Array>>;
}> {
  const values = (name: string): Float64Array =>
    Float64Array.from(gradients.parameters[name] ?? []);
  const has = (name: string): boolean => name in gradients.parameters;
  const log = has("log_threshold");
  const theta = log ? values("log_threshold").map(Math.exp) : values("threshold");
  const threshold = theta.length === 0 ? null : theta;
  const layout = layoutOf(config, stream.dIn);
  const { input, target } = splitColumns(Float32Array.from(gradients.x.flat()), layout);
  const known = new Set([
    "encoder_rows",
    "decoder",
    "encoder_bias",
    "decoder_bias",
    "skip",
    "threshold",
    "log_threshold",
  ]);
  const extras = Object.keys(gradients.parameters).filter((name) => !known.has(name));
  const decoder = values("decoder");
  const result = await gradientsOf({
    device,
    config,
    parameters: {
      // A tied encoder is not among the parameters.
      encoderRows: has("encoder_rows") ? values("encoder_rows") : decoder,
      decoder,
      encoderBias: has("encoder_bias") ? values("encoder_bias") : new Float64Array(config.dSae),
      decoderBias: values("decoder_bias"),
      threshold,
    },
    skip: has("skip") ? values("skip") : null,
    extras: Object.fromEntries(extras.map((name) => [name, values(name)])),
    memory: gradients.memory ?? {},
    step: gradients.step,
    x: Float64Array.from(input),
    target: Float64Array.from(target),
    sparsity: gradients.sparsity,
    variance: stream.variance,
    dead: gradients.dead.some((one) => one === 1) ? Uint8Array.from(gradients.dead) : null,
    blockRows: 5,
  });
  const own = result.gradients;
  // dL/dlog(theta) = theta dL/dtheta.
  const dTheta = own.threshold.map((value, at) => value * (log ? (theta[at] ?? 0) : 1));
  const all: Record<string, Float32Array> = {
    ...(threshold === null ? {} : { [log ? "log_threshold" : "threshold"]: dTheta }),
    ...(has("encoder_rows")
      ? { encoder_rows: own.encoderRows, encoder_bias: own.encoderBias }
      : {}),
    decoder: own.decoder,
    decoder_bias: own.decoderBias,
    ...(has("skip") ? { skip: own.skip } : {}),
    ...result.extras,
  };
  return { result, ours: all };
}

/** A whole run from the golden's start. */
export async function goldenCurve(
  device: Device,
  stream: GoldenStream,
  example: GoldenStepCase,
): Promise<{
  readonly losses: readonly number[];
  readonly deadCounts: readonly number[];
  /** Parameters at the end, by the names of the checkpoint. */
  readonly parameters: ReadonlyMap<string, ArrayLike<number>>;
  readonly memory: Readonly<Record<string, readonly number[]>>;
}> {
  const { config } = example;
  const checkpoints = goldenStart(device, stream, example);
  const { sae, history } = await trainSae({
    device,
    config,
    batches: inOrder(stream.rows, stream.dIn),
    heldOut: stream.rows.slice(0, 2 * stream.dIn),
    checkpoints,
  });
  sae.dispose();
  const end = await checkpoints.load();
  const { memory } = z.looseObject({ memory: arrays.optional() }).parse(end?.state);
  return {
    losses: history.points.map((point) => point.loss),
    deadCounts: history.points.map((point) => point.deadCount),
    parameters: new Map(end?.tensors.map(({ name, data }) => [name, data])),
    memory: memory ?? {},
  };
}
