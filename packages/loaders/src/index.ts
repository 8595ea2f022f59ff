export { blobSource, bytesSource } from "./byte-source.ts";
export type { ByteSource } from "./byte-source.ts";
export type { TextSpan } from "./chat/marks.ts";
export type { ChatMessage, RenderChatOptions, RenderedChat } from "./chat/render-chat.ts";
export { renderChat } from "./chat/render-chat.ts";
export type { Checkpoint } from "./checkpoint.ts";
export { checkTokenizerFits } from "./checkpoint.ts";
export { didYouMean } from "./did-you-mean.ts";
export { llamaFromGguf } from "./gguf/llama.ts";
export type { LlamaConfigJson } from "./gguf/llama.ts";
export { openGguf } from "./gguf/open-gguf.ts";
export type { GgufStore } from "./gguf/open-gguf.ts";
export type { GgufMetadata, GgufValue } from "./gguf/metadata.ts";
export { encodeNpz, openNpz, parseNpz } from "./npz/npz.ts";
export type { NpzStore } from "./npz/npz.ts";
export type { NpyArray, NpyArrayToWrite, NpyDType } from "./npz/npy.ts";
export { encodeSafetensors } from "./safetensors/encode-safetensors.ts";
export type { TensorToWrite } from "./safetensors/encode-safetensors.ts";
export { openSafetensors } from "./safetensors/open-safetensors.ts";
export type { SafetensorsStore } from "./safetensors/open-safetensors.ts";
export { openTorch } from "./torch/open-torch.ts";
export type { TorchStore } from "./torch/open-torch.ts";
export type { TorchScalar } from "./torch/flattened.ts";
export { hashBytes, Sha256 } from "./sha256.ts";
export { blockLayout, storedFormatOf } from "./storage-format.ts";
export type { BlockLayout, StorageFormat } from "./storage-format.ts";
export { defaultPieceBytes, expectShape, mergeStores } from "./tensor-store.ts";
export type {
  PieceOptions,
  ReadOptions,
  TensorInfo,
  TensorPiece,
  TensorStore,
} from "./tensor-store.ts";
export type { EncodeOptions, Encoding, SpecialTokens, Tokenizer } from "./tokenizer/tokenizer.ts";
export { tokenizerFromGguf } from "./tokenizer/tokenizer-from-gguf.ts";
export { byteTokenizer } from "./tokenizer/byte-tokenizer.ts";
export { tokenizerFromJson } from "./tokenizer/tokenizer-from-json.ts";
export type { TrainByteLevelBpeOptions } from "./tokenizer/train/options.ts";
export type {
  TrainedAddedToken,
  TrainedTokenizerConfig,
  TrainedTokenizerJson,
} from "./tokenizer/train/tokenizer-files.ts";
export { trainByteLevelBpe } from "./tokenizer/train/train-byte-level-bpe.ts";
export type { TrainedTokenizer } from "./tokenizer/train/train-byte-level-bpe.ts";
