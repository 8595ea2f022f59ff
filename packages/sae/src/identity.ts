import { hashBytes } from "@latentkit/loaders";
import type { SaeConfig } from "./config.ts";
import type { SaeWeights } from "./weights.ts";

/**
 * sha256 (hex) of what an SAE computes: the configuration without metadata, and the bytes of each weight as little-endian f32,
 * latents as rows. It does not depend on file names, on the format or dtype of the file once the numbers are equal in f32, nor
 * on what the metadata says about model or site.
 *
 * The hash is of a JSON line that holds the configuration and each weight's own sha256, so that no copy of all weights is made.
 */
export async function identityOf(config: SaeConfig, weights: SaeWeights): Promise<string> {
  const { metadata: _, dOut, ...common } = config;
  // What came later is left out where it is absent, so that identities of earlier versions hold.
  const computed = { ...common, ...(dOut === null ? {} : { dOut }) };
  const skip = weights.skip ?? null;
  const parts = {
    config: Object.fromEntries(Object.entries(computed).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    weights: {
      encoderRows: await sha256(bytesOf(weights.encoderRows)),
      decoder: await sha256(bytesOf(weights.decoder)),
      encoderBias: await sha256(bytesOf(weights.encoderBias)),
      decoderBias: await sha256(bytesOf(weights.decoderBias)),
      threshold: weights.threshold === null ? null : await sha256(bytesOf(weights.threshold)),
      ...(skip === null ? {} : { skip: await sha256(bytesOf(skip)) }),
    },
  };
  return sha256(new TextEncoder().encode(JSON.stringify(parts)));
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  // Web Crypto is several times faster, but pages that were not served securely lack it.
  if (globalThis.crypto?.subtle === undefined) return hashBytes(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(values: Float32Array): Uint8Array<ArrayBuffer> {
  // A view where that is possible; WebCrypto refuses views of shared memory, which are copied.
  if (values.buffer instanceof ArrayBuffer)
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return new Uint8Array(new Float32Array(values).buffer);
}
