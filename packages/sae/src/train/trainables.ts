import { ConfigError } from "@latentkit/core";
import {
  adamStep,
  clipByGlobalNorm,
  copyInto,
  type Device,
  exp,
  maximum,
  mul,
  normalizeRows,
  removeParallelRows,
  Tensor,
} from "@latentkit/tensor";
import type { SaeTensors } from "../weights.ts";
import type { CheckpointTensor } from "./checkpoint.ts";
import type { TrainConfig } from "./config.ts";
import { geometricMedian, initialDecoder } from "./initialise.ts";
import type { StreamLayout } from "./layout.ts";
import { learningRateAt } from "./schedule.ts";
import { addInputBiasGradient, type ExtraParameters, gradientsLike } from "./step.ts";
import type { TrainingArchitecture } from "./training-architecture.ts";

interface Trained {
  readonly name: string;
  /** What Adam moves: for log theta the logarithm, else the parameter itself. */
  readonly value: Tensor;
  readonly gradient: Tensor;
  readonly first: Tensor | null;
  readonly second: Tensor;
}

/** The parameters of a run with their gradients and Adam's moments, on the device. */
export class Trainables implements Disposable {
  readonly device: Device;
  readonly config: TrainConfig;
  /** In units of the normalised input, with the pre-encoder bias not folded. `threshold` is theta. */
  readonly parameters: SaeTensors;
  readonly gradients: SaeTensors;
  /** What the architecture trains beside them, each `[d_sae]`. */
  readonly extras: ExtraParameters;
  readonly #unitRows: boolean;
  readonly #centred: boolean;
  readonly #logThreshold: Tensor | null;
  readonly #trained: readonly Trained[];

  /**
   * Trainables of the parameters that `start` makes. Where memory runs out midway, all that was taken is given back.
   *
   * @param centred whether the encoder sees x - b_dec
   */
  static make(
    device: Device,
    config: TrainConfig,
    start: () => SaeTensors,
    architecture: Pick<TrainingArchitecture, "decoderRows" | "extras" | "tied">,
    centred = true,
  ): Trainables {
    return device.scope(() => {
      const made = new Trainables(device, config, start(), architecture, centred);
      for (const tensor of made.#tensors()) device.keep(tensor);
      return made;
    });
  }

  private constructor(
    device: Device,
    config: TrainConfig,
    parameters: SaeTensors,
    architecture: Pick<TrainingArchitecture, "decoderRows" | "extras" | "tied">,
    centred: boolean,
  ) {
    this.device = device;
    this.config = config;
    this.parameters = parameters;
    this.gradients = gradientsLike(device, parameters);
    this.#centred = centred;
    const { threshold } = parameters;
    const logForm = "thresholdForm" in config && config.thresholdForm === "log";
    // Log theta is rounded; theta follows it from the first step on, as it will after every resume.
    this.#logThreshold =
      logForm && threshold !== null
        ? device.full(threshold.shape, Math.log(config.initialThreshold))
        : null;
    const trained = (name: string, value: Tensor, gradient: Tensor): Trained => ({
      name,
      value,
      gradient,
      first: config.adam.beta1 === 0 ? null : device.zeros(value.shape),
      second: device.zeros(value.shape),
    });
    const { tied = false } = architecture;
    const encoder = tied
      ? []
      : [trained("encoder_rows", parameters.encoderRows, this.gradients.encoderRows)];
    const encoderBias = tied
      ? []
      : [trained("encoder_bias", parameters.encoderBias, this.gradients.encoderBias)];
    const all = [
      ...encoder,
      trained("decoder", parameters.decoder, this.gradients.decoder),
      ...encoderBias,
      trained("decoder_bias", parameters.decoderBias, this.gradients.decoderBias),
    ];
    const [skip, dSkip] = [parameters.skip ?? null, this.gradients.skip ?? null];
    if (skip !== null && dSkip !== null) all.push(trained("skip", skip, dSkip));
    if (threshold !== null && this.gradients.threshold !== null) {
      all.push(
        trained(
          this.#logThreshold === null ? "threshold" : "log_threshold",
          this.#logThreshold ?? threshold,
          this.gradients.threshold,
        ),
      );
    }
    this.extras = Object.fromEntries(
      Object.entries(architecture.extras?.(config) ?? {}).map(([name, start]) => [
        name,
        { value: device.full([config.dSae], start), gradient: device.zeros([config.dSae]) },
      ]),
    );
    for (const [name, { value, gradient }] of Object.entries(this.extras))
      all.push(trained(name, value, gradient));
    this.#unitRows = architecture.decoderRows?.(config).unit ?? true;
    this.#trained = all;
    device.scope(() => this.#settleThreshold());
  }

  /**
   * One optimiser step from the gradients that an architecture left: the part of the decoder's gradient along its rows is
   * removed before Adam and the rows are brought back to unit norm after it (Gemma Scope, section 3.2), unless the architecture
   * leaves them free. Where the configuration has a `gradientClip`, all gradients are scaled to that global norm at most.
   *
   * @param step counts from 0
   */
  update(step: number): void {
    const { device, config, parameters, gradients } = this;
    if (this.#centred) addInputBiasGradient(device, gradients, parameters);
    if (this.#unitRows) removeParallelRows(gradients.decoder, parameters.decoder);
    const plan = {
      learningRate: learningRateAt(config, step),
      weightDecay: 0,
      step: step + 1,
      ...config.adam,
    };
    const clip = "gradientClip" in config ? config.gradientClip : null;
    device.scope(() => {
      const moves = this.#trained.map(({ value, gradient, ...rest }) => {
        // theta = exp(t), so dt = theta dtheta.
        const own =
          value === this.#logThreshold && parameters.threshold !== null
            ? mul(gradient, parameters.threshold)
            : gradient;
        return { value, own, moments: rest };
      });
      const all = moves.map(({ own }) => own);
      const gradientScale = clip === null ? null : clipByGlobalNorm(all, clip).scale;
      for (const { value, own, moments } of moves)
        adamStep(value, own, moments, plan, { gradientScale });
      if (this.#unitRows) normalizeRows(parameters.decoder);
      this.#settleThreshold();
    });
  }

  /** theta from what was trained: exp of its logarithm, or itself, not below half of the bandwidth (with a tanh penalty not below 0). */
  #settleThreshold(): void {
    const { threshold } = this.parameters;
    const { config } = this;
    if (threshold === null || !("thresholdForm" in config)) return;
    const least = config.architecture === "jumprelu" ? config.bandwidth / 2 : 0;
    const settled =
      this.#logThreshold === null ? maximum(threshold, least) : exp(this.#logThreshold);
    copyInto(settled, threshold, { axis: 0, start: 0 });
  }

  /** The further vectors, copied to the host. */
  async downloadExtras(): Promise<Record<string, Float32Array>> {
    const values: Record<string, Float32Array> = {};
    for (const [name, { value }] of Object.entries(this.extras))
      values[name] = await value.floats();
    return values;
  }

  /** Everything that a resumed run needs, copied to the host. */
  async toCheckpoint(): Promise<CheckpointTensor[]> {
    const tensors: CheckpointTensor[] = [];
    for (const { name, value, first, second } of this.#trained) {
      tensors.push({ name, shape: value.shape, data: await value.floats() });
      if (first !== null)
        tensors.push({ name: `${name}.first`, shape: first.shape, data: await first.floats() });
      tensors.push({ name: `${name}.second`, shape: second.shape, data: await second.floats() });
    }
    return tensors;
  }

  /** Puts a checkpoint's numbers in place. Throws `ConfigError` `CHECKPOINT_TENSOR` where one is missing or of another size. */
  fromCheckpoint(tensors: readonly CheckpointTensor[]): void {
    const found = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    const restore = (name: string, target: Tensor): void => {
      const data = found.get(name)?.data;
      if (!(data instanceof Float32Array) || data.length !== target.size) {
        throw new ConfigError({
          code: "CHECKPOINT_TENSOR",
          message: `the checkpoint's tensor "${name}" ${data === undefined ? "is missing" : `has ${data.length} elements, not ${target.size}`}`,
          fix: "resume with the configuration that wrote the checkpoint, or start in another folder",
        });
      }
      using source = this.device.tensor(data, target.shape);
      copyInto(source, target, { axis: 0, start: 0 });
    };
    for (const { name, value, first, second } of this.#trained) {
      restore(name, value);
      if (first !== null) restore(`${name}.first`, first);
      restore(`${name}.second`, second);
    }
    this.device.scope(() => this.#settleThreshold());
  }

  dispose(): void {
    for (const tensor of this.#tensors()) tensor.dispose();
  }

  *#tensors(): Generator<Tensor> {
    const all = [
      ...this.#trained.flatMap(({ value, gradient, first, second }) => [
        value,
        gradient,
        first,
        second,
      ]),
      ...Object.values(this.parameters),
      ...Object.values(this.gradients),
    ];
    for (const tensor of all) if (tensor instanceof Tensor) yield tensor;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What {@link initialParameters} starts from. */
export interface InitialOptions {
  readonly layout: StreamLayout;
  /** The first batch's targets, `[n, dOut]`, scaled already, for a b_dec that depends on them. */
  readonly firstBatch: Float32Array;
  /** Norm of the rows of W_dec and W_enc^T; of a crosscoder's at each site. 1 by default. */
  readonly rowNorm?: number | undefined;
}

/**
 * Parameters at the start: W_dec He-uniform with rows of norm `rowNorm`, W_enc = W_dec^T, b_enc = 0, theta = theta0, and b_dec = 0 or the
 * geometric median of the first batch. A transcoder's W_enc has rows of its own (Gemma Scope, appendix B), its W_skip is 0. A
 * crosscoder's rows are the same at every site of one width.
 */
export function initialParameters(
  device: Device,
  config: TrainConfig,
  { layout, firstBatch, rowNorm = 1 }: InitialOptions,
): SaeTensors {
  const { dIn, dOut, transcoder } = layout;
  const { dSae, seed } = config;
  const scaled = (unit: Float32Array): Float32Array =>
    rowNorm === 1 ? unit : unit.map((value) => value * rowNorm);
  const decoder = scaled(
    transcoder
      ? initialDecoder(dSae, dOut, seed)
      : besideEachOther(
          layout.groups.map((width) => initialDecoder(dSae, width, seed)),
          dSae,
        ),
  );
  const encoder = transcoder ? scaled(initialDecoder(dSae, dIn, seed, 1)) : decoder;
  const bias =
    config.decoderBias === "zero"
      ? new Float32Array(dOut)
      : Float32Array.from(geometricMedian(firstBatch, dOut));
  return {
    encoderRows: device.tensor(encoder, [dSae, dIn]),
    decoder: device.tensor(decoder, [dSae, dOut]),
    encoderBias: device.zeros([dSae]),
    decoderBias: device.tensor(bias, [dOut]),
    threshold: "thresholdForm" in config ? device.full([dSae], config.initialThreshold) : null,
    skip: config.transcoder?.skip === true ? device.zeros([dOut, dIn]) : null,
  };
}

/** Matrices `[rows, width]` side by side. */
function besideEachOther(parts: readonly Float32Array[], rows: number): Float32Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const result = new Float32Array(total);
  let column = 0;
  for (const part of parts) {
    const width = part.length / rows;
    for (let row = 0; row < rows; row++)
      result.set(part.subarray(row * width, (row + 1) * width), (row * total) / rows + column);
    column += width;
  }
  return result;
}
