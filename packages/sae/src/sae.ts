import { ConfigError, formatShape, ShapeError } from "@latentkit/core";
import {
  add,
  concat,
  type Device,
  linear,
  matmul,
  sparseDecode,
  type SparseRows,
  sub,
  Tensor,
} from "@latentkit/tensor";
import { architectureOf } from "./architecture.ts";
import { blockRowsFor, rowBlocks } from "./blocks.ts";
import { parseSaeConfig, type SaeConfig, type SaeConfigInput } from "./config.ts";
import { identityOf } from "./identity.ts";
import { normalisedRows } from "./per-token.ts";
import {
  checkTensors,
  checkWidth,
  downloadWeights,
  outputWidth,
  type SaeTensors,
  type SaeWeights,
  uploadWeights,
} from "./weights.ts";

/**
 * A sparse autoencoder: `f = sparsify(W_enc x + b_enc)`, `x^ = W_dec f + b_dec`. With `dOut` in its configuration it is a transcoder,
 * whose `x^` stands for the activations of another site; one with a skip connection adds `W_skip x`.
 *
 * All weights are f32 tensors of one device and belong to the SAE: disposing it disposes them. What it computes has gradients to its
 * input and to latents, and `splice(site, sae)` of `@latentkit/models` puts it into a model's forward pass.
 */
export class Sae implements Disposable {
  readonly config: SaeConfig;
  readonly device: Device;
  /** W_enc transposed, `[d_sae, d_in]`. */
  readonly encoderRows: Tensor;
  /** W_dec, `[d_sae, d_out]`. */
  readonly decoder: Tensor;
  /** b_enc, `[d_sae]`. */
  readonly encoderBias: Tensor;
  /** b_dec, `[d_out]`. */
  readonly decoderBias: Tensor;
  /** theta, `[d_sae]`; null but for JumpReLU. */
  readonly threshold: Tensor | null;
  /** W_skip, `[d_out, d_in]`; null but for transcoders with a skip connection. */
  readonly skip: Tensor | null;
  #identity: Promise<string> | null = null;

  /**
   * Takes ownership of the tensors. Throws `ConfigError` `SAE_CONFIG_INVALID` and {@link ShapeError} `SAE_WEIGHTS_SHAPE`.
   */
  constructor(device: Device, config: SaeConfigInput, tensors: SaeTensors) {
    this.config = parseSaeConfig(config);
    this.device = device;
    checkTensors(this.config, tensors);
    this.encoderRows = tensors.encoderRows;
    this.decoder = tensors.decoder;
    this.encoderBias = tensors.encoderBias;
    this.decoderBias = tensors.decoderBias;
    this.threshold = tensors.threshold;
    this.skip = tensors.skip ?? null;
  }

  /** An SAE of weights on the host, which are copied to the device. */
  static fromWeights(device: Device, config: SaeConfigInput, weights: SaeWeights): Sae {
    const parsed = parseSaeConfig(config);
    return new Sae(device, parsed, uploadWeights(device, parsed, weights));
  }

  /** Width of what it writes: `dOut` of a transcoder, else `dIn`. */
  get dOut(): number {
    return outputWidth(this.config);
  }

  /** W_enc x + b_enc (of x - b_dec where `applyBDecToInput`): `x [n, d_in]` gives `[n, d_sae]`. */
  preActivations(x: Tensor): Tensor {
    this.#check(x);
    return this.device.scope(() => linear(this.#input(x), this.encoderRows, this.encoderBias));
  }

  /**
   * The active latents of each row of `x [n, d_in]`. The dense pre-activations `[n, d_sae]` exist meanwhile: for many rows, go
   * by blocks as {@link Sae.reconstruct} does.
   */
  encode(x: Tensor): SparseRows {
    this.#check(x);
    const architecture = architectureOf(this.config.architecture);
    return this.device.scope(
      () =>
        architecture.encodeInput?.(this.#input(x), this.config, this) ??
        this.activate(this.preActivations(x)),
    );
  }

  /**
   * The active latents of pre-activations `[n, d_sae]`: `encode(x)` is `activate(preActivations(x))`. Throws `ConfigError`
   * `SAE_NO_PRE_ACTIVATIONS` for matching pursuit, where no latent has a single one.
   */
  activate(pre: Tensor): SparseRows {
    return architectureOf(this.config.architecture).encode(pre, this.config, this);
  }

  /** The two halves of {@link Sae.encode}, by which `splice` of `@latentkit/models` shows `hook_sae_acts_pre`. */
  get steps():
    | { preActivations(x: Tensor): Tensor; activate(pre: Tensor): SparseRows }
    | undefined {
    return architectureOf(this.config.architecture).encodeInput === undefined ? this : undefined;
  }

  /**
   * W_dec f + b_dec of latents as {@link Sae.encode} gives them, or of a matrix `[n, d_sae]` of any values: `[n, d_out]`. A skip
   * connection adds W_skip x; an SAE that normalises each token brings the output back to the token's own scale.
   *
   * @param x what was encoded; needed by a transcoder with a skip connection, and by an SAE with `normalizeActivations`
   * @throws ConfigError `SAE_SKIP_INPUT`, `SAE_SCALE_INPUT` where it is needed and missing
   */
  decode(latents: SparseRows | Tensor, x?: Tensor): Tensor {
    const { decoder, decoderBias, skip } = this;
    const written = (): Tensor =>
      latents instanceof Tensor
        ? matmul(latents, decoder, { bias: decoderBias })
        : sparseDecode(latents, decoder, decoderBias);
    const { dOut, normalizeActivations } = this.config;
    // What a transcoder writes is of another site, whose scale its weights know: as in SAELens.
    if (normalizeActivations !== "none" && dOut === null) {
      if (x === undefined) {
        throw new ConfigError({
          code: "SAE_SCALE_INPUT",
          message: `this SAE normalises each token (${normalizeActivations}), but decode was given latents alone`,
          fix: "call decode(latents, x) with the activations that were encoded",
        });
      }
      this.#check(x);
      return this.device.scope(() => normalisedRows(x, normalizeActivations).undo(written()));
    }
    if (skip === null) return written();
    if (x === undefined) {
      throw new ConfigError({
        code: "SAE_SKIP_INPUT",
        message: "this transcoder has a skip connection, but decode was given latents alone",
        fix: "call decode(latents, x) with the activations that were encoded",
      });
    }
    this.#check(x);
    return this.device.scope(() => add(written(), linear(x, skip)));
  }

  /** `decode(encode(x), x)`, by row blocks, so that memory stays bounded however many rows there are. */
  reconstruct(x: Tensor): Tensor {
    this.#check(x);
    const rows = x.shape[0] ?? 0;
    const blocks = rowBlocks(rows, blockRowsFor(this.config.dSae));
    if (blocks.length <= 1) return this.device.scope(() => this.#through(x));
    return this.device.scope(() => {
      const parts = blocks.map(([start, end]) =>
        this.device.scope(() => this.#through(x.rows(start, end))),
      );
      return concat(parts, { axis: 0 });
    });
  }

  /** The weights, copied to the host. */
  weights(): Promise<SaeWeights> {
    return downloadWeights(this);
  }

  /** sha256 of what this SAE computes; see `identityOf`. Computed once. */
  identity(): Promise<string> {
    this.#identity ??= this.weights().then((weights) => identityOf(this.config, weights));
    return this.#identity;
  }

  dispose(): void {
    for (const tensor of [
      this.encoderRows,
      this.decoder,
      this.encoderBias,
      this.decoderBias,
      this.threshold,
      this.skip,
    ])
      tensor?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #through(x: Tensor): Tensor {
    return this.decode(this.encode(x), x);
  }

  /** What the encoder's rows are multiplied with. */
  #input(x: Tensor): Tensor {
    const { applyBDecToInput, normalizeActivations } = this.config;
    const input =
      normalizeActivations === "none" ? x : normalisedRows(x, normalizeActivations).input;
    return applyBDecToInput ? sub(input, this.decoderBias) : input;
  }

  #check(x: Tensor): void {
    if (x.shape.length !== 2) {
      throw new ShapeError({
        code: "SHAPE_RANK",
        message: `an SAE reads activations of shape [n, ${this.config.dIn}], but was given ${formatShape(x.shape)}`,
        fix: "reshape batch and position into one axis",
      });
    }
    checkWidth(this.config, x.shape[1] ?? 0, "the activation tensor");
  }
}
