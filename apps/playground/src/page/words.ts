import type { Reading } from "../protocol.ts";

/** A token as it can be seen: spaces within it are kept, line breaks and the like have signs. */
export function visible(token: string): string {
  const signs = token.replaceAll("\n", "\u21b5").replaceAll("\t", "\u21e5");
  return signs.trim() === "" ? signs.replaceAll(" ", "\u2423") : signs;
}

/** A probability in percent. */
export function percent(share: number): string {
  if (share < 0.001) return "< 0.1 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** A latent's activation. */
export const amount = (activation: number): string => activation.toFixed(2);

/** Which device computes, and why. */
export function deviceInWords({ chosen, engine, why, declined }: Reading["device"]): string {
  const name = chosen === "webgpu" ? `WebGPU, ${engine}` : `WebAssembly, ${engine}`;
  const codes = declined.map(({ code }) => code).join(", ");
  return `Computed by ${name}: ${why}${codes === "" ? "" : ` (${codes})`}.`;
}
