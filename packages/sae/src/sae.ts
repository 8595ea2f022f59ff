import { formatShape, ShapeError } from "@latentkit/core";
import {
  concat,
  type Device,
  linear,
  sparseDecode,
  type SparseRows,
  sub,
  type Tensor,
} from "@latentkit/tensor";
import { architectureOf } from "./architecture.ts";
import { blockRowsFor, rowBlocks } from "./blocks.ts";
import { parseSaeConfig, type SaeConfig, type SaeConfigInput } from "./config.ts";
import { identityOf } from "./identity.ts";
import {
  checkTensors,
  checkWidth,
  downloadWeights,
  type SaeTensors,
  type SaeWeights,
  uploadWeights,
} from "./weights.ts";

/**
 * A sparse autoencoder: `f = sparsify(W_enc x + b_enc)`, `x^ = W_dec f + b_dec`.
 *
 * All weights are f32 tensors of one device and belong to the SAE: disposing it disposes them.
 */
export class Sae implements Disposable {
  readonly config: SaeConfig;
  readonly device: Device;
  /** W_enc transposed, `[d_sae, d_in]`. */
  readonly encoderRows: Tensor;
  /** W_dec, `[d_sae, d_in]`. */
  readonly decoder: Tensor;
  /** b_enc, `[d_sae]`. */
  readonly encoderBias: Tensor;
  /** b_dec, `[d_in]`. */
  readonly decoderBias: Tensor;
  /** theta, `[d_sae]`; null for TopK. */
  readonly threshold: Tensor | null;
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
  }

  /** An SAE of weights on the host, which are copied to the device. */
  static fromWeights(device: Device, config: SaeConfigInput, weights: SaeWeights): Sae {
    const parsed = parseSaeConfig(config);
    return new Sae(device, parsed, uploadWeights(device, parsed, weights));
  }

  /** W_enc x + b_enc (of x - b_dec where `applyBDecToInput`): `x [n, d_in]` gives `[n, d_sae]`. */
  preActivations(x: Tensor): Tensor {
    this.#check(x);
    return this.device.scope(() => {
      const input = this.config.applyBDecToInput ? sub(x, this.decoderBias) : x;
      return linear(input, this.encoderRows, this.encoderBias);
    });
  }

  /**
   * The active latents of each row of `x [n, d_in]`. The dense pre-activations `[n, d_sae]` exist meanwhile: for many rows, go
   * by blocks as {@link Sae.reconstruct} does.
   */
  encode(x: Tensor): SparseRows {
    return this.device.scope(() =>
      architectureOf(this.config.architecture).encode(this.preActivations(x), this.config, this),
    );
  }

  /** W_dec f + b_dec: `[n, d_in]`. */
  decode(rows: SparseRows): Tensor {
    return sparseDecode(rows, this.decoder, this.decoderBias);
  }

  /** `decode(encode(x))`, by row blocks, so that memory stays bounded however many rows there are. */
  reconstruct(x: Tensor): Tensor {
    this.#check(x);
    const rows = x.shape[0] ?? 0;
    const blocks = rowBlocks(rows, blockRowsFor(this.config.dSae));
    if (blocks.length <= 1) return this.device.scope(() => this.decode(this.encode(x)));
    return this.device.scope(() => {
      const parts = blocks.map(([start, end]) =>
        this.device.scope(() => this.decode(this.encode(x.rows(start, end)))),
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
    ])
      tensor?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
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
