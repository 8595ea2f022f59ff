import { ConfigError } from "@latentkit/core";
import { type BlockSite, blockSite, type LanguageModel, type Site } from "@latentkit/models";
import type { Tensor } from "@latentkit/tensor";
import { layersOf } from "../captured.ts";
import { positionIn } from "../places.ts";

/** A kind of site to patch, and over what. */
export interface PatchSite {
  /** Within its block, such as `"hook_resid_pre"`, `"hook_attn_out"`, `"mlp.hook_post"`, `"attn.hook_z"`, `"attn.hook_pattern"`. */
  readonly site: BlockSite;
  /** All of them if left out. */
  readonly layers?: readonly number[] | undefined;
  /**
   * `"each"` position by itself, these ones by themselves (negative ones from the end), or `"all"` at once. `"each"` if left out, but
   * `"all"` where there are heads. Patterns have none of their own.
   */
  readonly positions?: "each" | "all" | readonly number[] | undefined;
  /** `"each"` head by itself (the default where there are heads), these ones by themselves, or `"all"` at once. */
  readonly heads?: "each" | "all" | readonly number[] | undefined;
}

/** One patch. */
export interface PatchPlace {
  /** The full name, for example `"blocks.3.attn.hook_z"`. */
  readonly site: string;
  readonly layer: number;
  /** On the `pos` axis; null for all positions at once. */
  readonly position: number | null;
  /** Null for all heads at once, and where there are none. */
  readonly head: number | null;
}

/** What one patch did. */
export interface PatchedValue extends PatchPlace {
  /** The metric with the patch. */
  readonly value: number;
  /** `(value - corrupt) / (clean - corrupt)`: 0 where the patch does nothing, 1 where it restores the clean run. NaN if both are equal. */
  readonly normalised: number;
}

/** A table of patches. */
export interface PatchTable {
  /** The metric of the clean run. */
  readonly clean: number;
  /** The metric of the corrupt run. */
  readonly corrupt: number;
  /** By site as they were asked for, then layer, position and head. */
  readonly rows: readonly PatchedValue[];
}

/**
 * Every patch that is asked for.
 *
 * @throws ConfigError `SITE_UNKNOWN`, `PATCH_SITE`, `ANALYSIS_POSITION`
 */
export function patchPlaces(
  model: LanguageModel,
  sites: readonly PatchSite[],
  length: number,
): PatchPlace[] {
  return sites.flatMap((wanted) =>
    (wanted.layers ?? layersOf(model)).flatMap((layer) => {
      const site = model.site(blockSite(layer, wanted.site));
      const positions = positionsOf(wanted, site, length);
      const heads = headsOf(model, wanted, site);
      return positions.flatMap((position) =>
        heads.map((head) => ({ site: site.name, layer, position, head })),
      );
    }),
  );
}

function positionsOf(wanted: PatchSite, site: Site, length: number): (number | null)[] {
  const { positions = headAxis(site) === null ? "each" : "all" } = wanted;
  if (positions === "all") return [null];
  if (site.shape[1] !== "pos")
    throw badSite(site, `positions ${JSON.stringify(positions)}`, 'positions: "all"');
  if (positions === "each") return Array.from({ length }, (_, position) => position);
  return positions.map((position) => positionIn(position, length));
}

function headsOf(model: LanguageModel, wanted: PatchSite, site: Site): (number | null)[] {
  const axis = headAxis(site);
  const { heads = axis === null ? "all" : "each" } = wanted;
  if (heads === "all") return [null];
  if (axis === null) throw badSite(site, `heads ${JSON.stringify(heads)}`, 'heads: "all"');
  const count = site.shape[axis] === "kv_head_index" ? model.config.kvHeads : model.config.heads;
  if (heads === "each") return Array.from({ length: count }, (_, head) => head);
  const bad = heads.find((head) => !Number.isInteger(head) || head < 0 || head >= count);
  if (bad !== undefined)
    throw badSite(site, `head ${bad} of ${count}`, `heads from 0 to ${count - 1}`);
  return [...heads];
}

function headAxis(site: Site): number | null {
  const axis = site.shape.findIndex((name) => name.endsWith("head_index"));
  return axis < 0 ? null : axis;
}

function badSite(site: Site, given: string, fix: string): ConfigError {
  return new ConfigError({
    code: "PATCH_SITE",
    message: `${site.name} with axes ${site.shape.join(", ")} cannot be patched at ${given}`,
    fix: `give ${fix} for this site, or another site`,
    where: site.name,
  });
}

/**
 * The patches in lists for one run each, in their order. Those of a pattern or of scores are with others of the same site alone: where
 * such a site is patched another kernel computes attention, and its rounding would reach the other patches of the run.
 */
export function patchRuns(places: readonly PatchPlace[], perRun: number): PatchPlace[][] {
  const runs: PatchPlace[][] = [];
  for (const place of places) {
    const last = runs.at(-1);
    const fits =
      last !== undefined &&
      last.length < perRun &&
      last.every(({ site }) => site === place.site || !(slow.test(site) || slow.test(place.site)));
    if (fits) last.push(place);
    else runs.push([place]);
  }
  return runs;
}

const slow = /\.attn\.hook_(?:pattern|attn_scores)$/u;

/** The axes of a site's values that patches choose from; null where it has none. */
export function patchAxes(
  model: LanguageModel,
  name: string,
): { readonly position: number | null; readonly head: number | null } {
  const site = model.site(name);
  return { position: site.shape[1] === "pos" ? 1 : null, head: headAxis(site) };
}

/** 1 where a value `[rows, ...]` at the site is patched and 0 elsewhere, with axes of 1 where it is the same all along. */
export function patchMask(model: LanguageModel, place: PatchPlace, value: Tensor): Tensor {
  const axes = patchAxes(model, place.site);
  const only = (axis: number): number | null =>
    axis === axes.position ? place.position : axis === axes.head ? place.head : null;
  const shape = value.shape.map((size, axis) => (only(axis) === null ? 1 : size));
  const mask = new Uint8Array(shape.reduce((product, size) => product * size, 1));
  mask[shape.reduce((offset, size, axis) => offset * size + (only(axis) ?? 0), 0)] = 1;
  return value.device.tensor(mask, shape);
}

/** A value of the metric between those of the corrupt run (0) and the clean one (1). */
export function normalised(value: number, clean: number, corrupt: number): number {
  if (clean === corrupt) return Number.NaN;
  // Not -0.
  return value === corrupt ? 0 : (value - corrupt) / (clean - corrupt);
}
