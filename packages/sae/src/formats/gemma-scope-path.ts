import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues } from "../config.ts";
import { gemmaScopeFile } from "./gemma-scope.ts";

/** Where an SAE reads the model: the residual stream behind a layer, its MLP's output, or its attention heads' outputs. */
export type GemmaScopeSite = "res" | "mlp" | "att";

/** What Gemma Scope's folders say of an SAE. */
export interface GemmaScopePlace {
  /** The release without its site, for example `gemma-scope-2b-pt`. A name, not a path. */
  readonly release: string;
  readonly site: GemmaScopeSite;
  /** From 0. */
  readonly layer: number;
  /** Number of latents, d_sae. */
  readonly width: number;
  /** Mean number of active latents a token. Rounded in the name. */
  readonly l0: number;
}

const schema = z.object({
  // No separators, and no dot in front: the result stays below the folder that it is joined to.
  release: z.string().regex(/^[\w-][\w.-]*$/u, "a name of letters, digits, -, _ and . is expected"),
  site: z.enum(["res", "mlp", "att"]),
  layer: z.int().nonnegative(),
  width: z.int().positive(),
  l0: z.number().nonnegative(),
});

/**
 * The path of an SAE's `params.npz` as Gemma Scope's repositories have it (2408.05147), below a folder named by release and site. Widths
 * are shortened as there, in thousands and millions: 16,384 is `16k`, 65,536 `65k`, 1,048,576 `1m`; below ten of either, one digit more
 * where it is not 0, so that 1,536 is `1.5k`. Two widths or two L0 that are close can share a name.
 *
 * @throws ConfigError `GEMMA_SCOPE_PLACE`
 *
 * @example
 * gemmaScopePath({ release: "tiny", site: "res", layer: 3, width: 1536, l0: 41.2 });
 * // "tiny-res/layer_3/width_1.5k/average_l0_41/params.npz"
 */
export function gemmaScopePath(place: GemmaScopePlace): string {
  const parsed = schema.safeParse(place);
  if (!parsed.success) {
    throw new ConfigError({
      code: "GEMMA_SCOPE_PLACE",
      message: `no path can be made of this: ${describeIssues(parsed.error)}`,
      fix: "correct the fields named above",
    });
  }
  const { release, site, layer, width, l0 } = parsed.data;
  return `${release}-${site}/layer_${layer}/width_${shortened(width)}/average_l0_${Math.round(l0)}/${gemmaScopeFile}`;
}

/** Cut, not rounded, as there: 65,536 is `65k`. */
function shortened(width: number): string {
  for (const [unit, letter] of [
    [1_000_000, "m"],
    [1000, "k"],
  ] as const) {
    if (width < unit) continue;
    const whole = Math.floor(width / unit);
    const tenths = Math.floor((width % unit) / (unit / 10));
    return whole < 10 && tenths > 0 ? `${whole}.${tenths}${letter}` : `${whole}${letter}`;
  }
  return String(width);
}
