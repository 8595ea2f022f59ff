import { ConfigError, MismatchError } from "@latentkit/core";
import { hashBytes } from "@latentkit/loaders";
import { add, matmul, mul, noGrad, sub, type Tensor } from "@latentkit/tensor";
import type { ParameterSpec } from "./families/family.ts";
import { families } from "./families/index.ts";
import { writesToResidual } from "./families/writers.ts";
import type { HostVector } from "./feature-vector.ts";
import type { LanguageModel, ModelIdentity } from "./language-model.ts";
import { orthonormalBasis } from "./orthonormal-basis.ts";

/**
 * The model with all that writes to its residual stream orthogonal to some directions, so that the stream never has anything along them
 * (directional ablation in the weights, 2406.11717): embeddings, outputs of attention and MLP, and their biases. It computes what
 * `projectOut` computes at `hook_embed`, `hook_pos_embed`, and each block's `hook_attn_out` and `hook_mlp_out`. A tied unembedding
 * stays as it is.
 *
 * A view: it owns the weights that are changed, as f32 whatever the model stores, and borrows the others. The model must outlive it.
 *
 * @param directions one vector `[d_model]` or several, neither normalised nor orthogonal
 * @throws ConfigError `EDIT_DIRECTIONS`; `WRITERS_NORMALIZED` for families that norm what attention and MLP give before it is added;
 *   MismatchError `EDIT_WIDTH`
 */
export function orthogonalizedTo(
  model: LanguageModel,
  directions: HostVector | readonly HostVector[],
): LanguageModel {
  const given = isOne(directions) ? [directions] : directions;
  const basis = orthonormalBasis("orthogonalizedTo", given);
  checkWriters(model, given[0]?.length ?? 0);
  const { device, config } = model;
  const specs = families[config.architecture]
    .parameters(config)
    .filter(({ name }) => writesToResidual(name));
  return changedView(model, changedIdentity(model, "orthogonalized", [basis]), false, (keep) => {
    const rows = device.tensor(basis, [basis.length / config.dModel, config.dModel]);
    for (const spec of specs) keep(spec.name, (weight) => withoutSpan(weight, rows, spec));
  });
}

/**
 * The model with multiples of given differences added to its weights (task arithmetic, 2212.04089): `W + scale * delta`, for example
 * of a fine-tuned model's weights to its base's; a negative scale takes a task away.
 *
 * A view: it owns the weights that are changed, as f32 whatever the model stores, and borrows the others. The model must outlive it.
 *
 * @param deltas by Hugging Face name, each of the shape of the weight that it is added to; of tied weights only the stored one
 * @throws ConfigError `PARAMETER_UNKNOWN`; ShapeError for other shapes
 */
export async function withTaskVector(
  model: LanguageModel,
  deltas: ReadonlyMap<string, Tensor>,
  scale = 1,
): Promise<LanguageModel> {
  const sorted = [...deltas].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const parts: ArrayBufferView[] = [
    new TextEncoder().encode(JSON.stringify([scale, sorted.map(([name]) => name)])),
    ...(await Promise.all(sorted.map(async ([, delta]) => delta.floats()))),
  ];
  return changedView(model, changedIdentity(model, "task", parts), true, (keep) => {
    for (const [name, delta] of sorted) keep(name, (weight) => add(weight, mul(delta, scale)));
  });
}

/** A view with the weights that `change` keeps, made of the model's own as f32. Nothing is left on the device where it throws. */
function changedView(
  model: LanguageModel,
  identity: ModelIdentity,
  tied: boolean,
  change: (keep: (name: string, make: (weight: Tensor) => Tensor) => void) => void,
): LanguageModel {
  const { device } = model;
  const changed = new Map<string, Tensor>();
  const keep = (name: string, make: (weight: Tensor) => Tensor) => {
    const made = device.scope(() => make(model.denseWeight(name)));
    changed.set(name, device.keep(made));
  };
  try {
    noGrad(device, () => {
      // Of a scope nothing but what it returns outlives it, and what was kept.
      device.scope(() => change(keep));
    });
    return model.withWeights(changed, identity, { owned: true, tied });
  } catch (error) {
    for (const tensor of changed.values()) tensor.dispose();
    throw error;
  }
}

function isOne(directions: HostVector | readonly HostVector[]): directions is HostVector {
  return directions instanceof Float32Array || typeof directions[0] === "number";
}

/** What is left of a writer: `basis [rank, d_model]` is taken out of its output axis. */
function withoutSpan(
  weight: Tensor,
  basis: Tensor,
  { name, transposed = false }: ParameterSpec,
): Tensor {
  const width = basis.shape[1] ?? 0;
  // Embeddings have a row for each token, biases are one row, and of matrices `[out, in]` the columns are outputs.
  const byRow = transposed || weight.shape.length === 1 || isEmbedding(name);
  if (!byRow) return sub(weight, matmul(basis, matmul(basis, weight), { transposeA: true }));
  const rows = weight.reshape([weight.size / width, width]);
  return sub(rows, matmul(matmul(rows, basis, { transposeB: true }), basis)).reshape(weight.shape);
}

function isEmbedding(name: string): boolean {
  return /\.(?:embed_tokens|embed_in|wte|wpe)\.weight$/u.test(name);
}

function checkWriters(model: LanguageModel, width: number): void {
  const { config } = model;
  if (width !== config.dModel) {
    throw new MismatchError({
      code: "EDIT_WIDTH",
      message: `orthogonalizedTo was given directions of ${width} numbers for a residual stream of ${config.dModel}`,
      fix: `give directions of ${config.dModel} numbers`,
      where: model.name,
    });
  }
  if (families[config.architecture].layout(config).norms === "before") return;
  throw new ConfigError({
    code: "WRITERS_NORMALIZED",
    message: `${config.architecture} norms what attention and MLP give before it is added to the residual stream, so weights orthogonal to a direction do not keep it out`,
    fix: "use projectOut at hook_embed and at each block's hook_attn_out and hook_mlp_out",
    where: model.name,
  });
}

function changedIdentity(
  model: LanguageModel,
  how: string,
  parts: readonly ArrayBufferView[],
): ModelIdentity {
  const base = model.identity();
  const hashes = parts.map(({ buffer, byteOffset, byteLength }) =>
    hashBytes(new Uint8Array(buffer, byteOffset, byteLength)),
  );
  const hash = hashBytes(new TextEncoder().encode(hashes.join()));
  return {
    ...base,
    name: `${base.name}+${how}`,
    weightsHash: `${base.weightsHash}+${how}:${hash}`,
  };
}
