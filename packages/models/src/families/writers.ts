/** Matrices of blocks that write to the residual stream: the outputs of attention and MLP. */
export function writesFromBlock(name: string): boolean {
  return blockMatrices.test(name);
}

/** All parameters that write to it: those matrices, their biases, and the embeddings of tokens and positions. */
export function writesToResidual(name: string): boolean {
  return blockMatrices.test(name) || blockBiases.test(name) || embeddings.test(name);
}

const blockMatrices = /\.(?:o_proj|down_proj|c_proj|attention\.dense|dense_4h_to_h)\.weight$/u;
const blockBiases = /\.(?:o_proj|down_proj|c_proj|attention\.dense|dense_4h_to_h)\.bias$/u;
const embeddings = /\.(?:embed_tokens|embed_in|wte|wpe)\.weight$/u;
