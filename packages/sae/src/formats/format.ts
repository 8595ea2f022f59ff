import type { ByteSource } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import type { SaeConfig, SaeMetadata } from "../config.ts";
import type { Sae } from "../sae.ts";
import type { WeightSource } from "./weight-source.ts";

/** The formats that are read. `saelens` is ours too. */
export const saeFormatNames = [
  "saelens",
  "gemma-scope",
  "gemma-scope-2",
  "dictionary-learning",
  "sparsify",
  "llama-scope",
  "goodfire",
  "qwen-scope",
  "deepseek-r1",
  "attn-saes",
  "mwhanna-transcoder",
] as const;

/** One of {@link saeFormatNames}. */
export type SaeFormatName = (typeof saeFormatNames)[number];

/** The files around an SAE, wherever they lie: a folder, a part of a hub's repository, an address. */
export interface SaeFiles {
  /** The folder, for messages and for what its name says: a path, an address, or `org/name/path`. */
  readonly where: string;
  /** The file of the folder that was named itself; null where the folder was. */
  readonly file: string | null;
  /** Paths of the files below the folder; null where they cannot be listed, and files are asked for by name. */
  readonly names: readonly string[] | null;
  has(path: string): Promise<boolean>;
  /** A JSON file, parsed but not checked. Throws FormatError `JSON_SYNTAX`, and IoError. */
  json(path: string): Promise<unknown>;
  /** The caller closes it. Throws IoError. */
  open(path: string): Promise<ByteSource>;
}

/** What a caller may have to say, because files do not. */
export interface FormatOptions {
  /** The factor of inputs that were scaled in training: see `ReadSaeOptions`. */
  readonly inputScale?: number | undefined;
  /** Latents that TopK keeps, for Qwen Scope's files, which do not say. */
  readonly k?: number | undefined;
  /** What is known of model and site; comes before what the files say. */
  readonly metadata?: SaeMetadata | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An SAE that has been found and whose configuration and tensor table have been read, but not its weights. */
export interface SaePlan {
  readonly format: SaeFormatName;
  readonly config: SaeConfig;
  /** What reading does to the weights, in words: what is folded, and what it was called. */
  readonly folds: readonly string[];
  readonly weights: WeightSource;
  /** Reads the weights. The caller disposes the SAE. */
  build(device: Device): Promise<Sae>;
  close(): Promise<void>;
}

/** One format: how it is told, and how it is read. */
export interface SaeFormat {
  readonly name: SaeFormatName;
  /** The files that it needs, for messages. */
  readonly needs: string;
  /** null where the files are not of this format. Throws where they are, but cannot be read. */
  open(files: SaeFiles, options: FormatOptions): Promise<SaePlan | null>;
}
