import { FormatError } from "@latentkit/core";
import type { GgufMetadata, GgufValue } from "./metadata.ts";

/** Typed look-ups in metadata; each throws {@link FormatError} `GGUF_METADATA` where the value is missing or of another type. */
export class MetadataReader {
  readonly #metadata: GgufMetadata;
  readonly #where: string;

  constructor(metadata: GgufMetadata, where: string) {
    this.#metadata = metadata;
    this.#where = where;
  }

  string(key: string): string {
    const value = this.#metadata.get(key);
    return typeof value === "string" ? value : this.#fail(key, value, "text");
  }

  /** A finite number, or `otherwise` where the key is missing. */
  number(key: string, otherwise?: number): number {
    const value = this.#metadata.get(key) ?? otherwise;
    return typeof value === "number" && Number.isFinite(value)
      ? value
      : this.#fail(key, value, "a number");
  }

  /** A whole number from 0, or `otherwise` where the key is missing. */
  count(key: string, otherwise?: number): number {
    const value = this.number(key, otherwise);
    return Number.isSafeInteger(value) && value >= 0
      ? value
      : this.#fail(key, value, "a whole number");
  }

  boolean(key: string, otherwise: boolean): boolean {
    const value = this.#metadata.get(key) ?? otherwise;
    return typeof value === "boolean" ? value : this.#fail(key, value, "true or false");
  }

  strings(key: string): readonly string[] {
    const value = this.#metadata.get(key);
    if (!Array.isArray(value)) return this.#fail(key, value, "a list of texts");
    return value.map((item: unknown) =>
      typeof item === "string" ? item : this.#fail(key, undefined, "a list of texts"),
    );
  }

  numbers(key: string): readonly number[] {
    const value = this.#metadata.get(key);
    if (!Array.isArray(value)) return this.#fail(key, value, "a list of numbers");
    return value.map((item: unknown) =>
      typeof item === "number" ? item : this.#fail(key, undefined, "a list of numbers"),
    );
  }

  has(key: string): boolean {
    return this.#metadata.has(key);
  }

  #fail(key: string, value: GgufValue | undefined, expected: string): never {
    const given =
      value === undefined
        ? "missing or of another type"
        : `${typeof value} ${String(value).slice(0, 40)}`;
    throw new FormatError({
      code: "GGUF_METADATA",
      message: `the metadata key "${key}" is ${given}; ${expected} was expected`,
      fix: "convert the model again with a current llama.cpp",
      where: this.#where,
    });
  }
}
