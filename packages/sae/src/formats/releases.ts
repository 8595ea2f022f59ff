import { ConfigError } from "@latentkit/core";
import { didYouMean } from "@latentkit/loaders";
import { templatedSae } from "./release-templates.ts";

/** An SAE by SAELens's names of releases, as a place on the hub. */
export interface ReleasedSae {
  /** `org/name`. */
  readonly repo: string;
  /** The folder or file in the repository; for a canonical id of Gemma Scope the folder of all its sparsities. */
  readonly path: string;
  /** Whether the SAE of the folder whose L0 is nearest to 100 is meant: see {@link canonicalOf}. */
  readonly canonical: boolean;
}

interface Family {
  /** What the names of the family's releases begin with. */
  readonly prefix: string;
  /** The SAE of a release and an id; null where the release is not of the form. */
  resolve(release: string, id: string): ReleasedSae | null;
  /** Names to suggest. */
  readonly names: readonly string[];
}

const gemma2Sites = ["res", "mlp", "att", "transcoders"];
const gemma3Sites: Readonly<Record<string, string>> = {
  res: "resid_post",
  mlp: "mlp_out",
  att: "attn_out",
  transcoders: "transcoder",
};
const llamaMixtures: Readonly<Record<string, string>> = {
  "800m_slimpajama": "800M-Slimpajama-0-OpenR1-Math-220k",
  "400m_slimpajama_400m_openr1_math": "400M-Slimpajama-400M-OpenR1-Math-220k",
  "800m_openr1_math": "0-Slimpajama-800M-OpenR1-Math-220k",
};
const goodfireFiles: Readonly<Record<string, readonly [name: string, ending: string]>> = {
  "goodfire-llama-3.3-70b-instruct": ["Llama-3.3-70B-Instruct-SAE-l50", "pt"],
  "goodfire-llama-3.1-8b-instruct": ["Llama-3.1-8B-Instruct-SAE-l19", "pth"],
};

/** Folders with two SAEs as near to an L0 of 100, of which the smaller is the canonical one. */
const tiesTheOtherWay: Readonly<Record<string, string>> = {
  "google/gemma-scope-9b-pt-att/layer_23/width_131k": "layer_23/width_131k/average_l0_66",
};

const families: readonly Family[] = [
  {
    prefix: "gemma-scope-2-",
    names: ["270m", "1b", "4b", "12b", "27b"].flatMap((size) =>
      ["pt", "it"].flatMap((tuning) =>
        Object.keys(gemma3Sites).flatMap((site) =>
          ["", "-all"].map((all) => `gemma-scope-2-${size}-${tuning}-${site}${all}`),
        ),
      ),
    ),
    resolve(release, id) {
      const [, model = "", site = "", all] =
        /^gemma-scope-2-(\w+-(?:pt|it))-(res|mlp|att|transcoders)(-all)?$/u.exec(release) ?? [];
      const folder = gemma3Sites[site];
      if (folder === undefined) return null;
      // Ids of the smaller list of transcoders name their folder already.
      const inside = id.startsWith(`${folder}/`)
        ? id
        : `${folder}${all === undefined ? "" : "_all"}/${id}`;
      return { repo: `google/gemma-scope-2-${model}`, path: inside, canonical: false };
    },
  },
  {
    prefix: "gemma-scope-",
    names: ["2b-pt", "9b-pt", "9b-it", "27b-pt"].flatMap((model) =>
      gemma2Sites.flatMap((site) =>
        site === "transcoders"
          ? [`gemma-scope-${model}-${site}`]
          : ["", "-canonical"].map((ending) => `gemma-scope-${model}-${site}${ending}`),
      ),
    ),
    resolve(release, id) {
      const [, name, ending] =
        /^(gemma-scope-\d+b-(?:pt|it)-(?:res|mlp|att|transcoders))(-canonical)?$/u.exec(release) ??
        [];
      if (name === undefined) return null;
      const canonical = ending !== undefined && id.endsWith("/canonical");
      return {
        repo: `google/${name}`,
        path: canonical ? id.slice(0, -"/canonical".length) : id,
        canonical,
      };
    },
  },
  {
    prefix: "llama_scope",
    names: [
      ...["r", "a", "m"].flatMap((site) =>
        [8, 32].map((times) => `llama_scope_lx${site}_${times}x`),
      ),
      "llama_scope_r1_distill",
    ],
    resolve(release, id) {
      if (release === "llama_scope_r1_distill") {
        const [, layer, mixture = ""] = /^l(\d+)r_(\w+)$/u.exec(id) ?? [];
        const folder = llamaMixtures[mixture];
        const path = folder === undefined ? id : `${folder}/L${layer}R`;
        return { repo: "fnlp/Llama-Scope-R1-Distill", path, canonical: false };
      }
      const [, site = "", times = ""] = /^llama_scope_lx([ram])_(8|32)x$/u.exec(release) ?? [];
      if (site === "") return null;
      const [, layer] = new RegExp(`^l(\\d+)${site}_${times}x$`, "u").exec(id) ?? [];
      const upper = site.toUpperCase();
      return {
        repo: `fnlp/Llama3_1-8B-Base-LX${upper}-${times}x`,
        path: layer === undefined ? id : `Llama3_1-8B-Base-L${layer}${upper}-${times}x`,
        canonical: false,
      };
    },
  },
  {
    prefix: "qwen-scope-",
    names: ["qwen-scope-3-1.7b-base-w32k-l50", "qwen-scope-3-8b-base-w64k-l50"],
    resolve(release, id) {
      const [, version, size = "", active, base, width, l0] =
        /^qwen-scope-(\d[\d.]*)-([\d.]+b)(-a\d+b)?(-base)?-w(\d+)k-l(\d+)$/u.exec(release) ?? [];
      if (version === undefined) return null;
      const model = `Qwen${version}-${size.toUpperCase()}${active?.toUpperCase() ?? ""}${base === undefined ? "" : "-Base"}`;
      return {
        repo: `Qwen/SAE-Res-${model}-W${width}K-L0_${l0}`,
        path: /^layer\d+$/u.test(id) ? `${id}.sae.pt` : id,
        canonical: false,
      };
    },
  },
  {
    prefix: "goodfire-",
    names: Object.keys(goodfireFiles),
    resolve(release) {
      const [name, ending] = goodfireFiles[release] ?? [];
      if (name === undefined) return null;
      return { repo: `Goodfire/${name}`, path: `${name}.${ending}`, canonical: false };
    },
  },
];

/**
 * The place of an SAE that is named as SAELens's list of releases names it, `RELEASE/ID`: `gemma-scope-2b-pt-res-canonical/layer_20/
 * width_16k/canonical`, or `gpt2-small-res-jb/blocks.8.hook_resid_pre`. Names of Gemma Scope, Gemma Scope 2, Llama Scope, Qwen Scope,
 * Goodfire and some twenty smaller families follow rules, which are known here; null for any other text.
 *
 * @throws ConfigError `SAE_RELEASE_UNKNOWN` for what begins like one of these releases and is none
 */
export function releasedSae(text: string): ReleasedSae | null {
  const slash = text.indexOf("/");
  const release = slash < 0 ? text : text.slice(0, slash);
  const family = families.find(({ prefix }) => release.startsWith(prefix));
  const id = slash < 0 ? "" : text.slice(slash + 1);
  if (family === undefined) {
    const templated = templatedSae(release, id);
    return templated === null ? null : { ...templated, canonical: false };
  }
  const found = family.resolve(release, id);
  if (found !== null) return found;
  const near = didYouMean(release, family.names);
  throw new ConfigError({
    code: "SAE_RELEASE_UNKNOWN",
    message: `there is no release "${release}"${near === null ? "" : `; did you mean "${near}"?`}`,
    fix: `write RELEASE/ID with a release such as ${family.names[0]}, or org/name/path of the hub`,
    where: text,
  });
}

/**
 * The path of Gemma Scope's canonical SAE in a folder such as `layer_20/width_16k`: the one whose mean L0 is nearest to 100. Where two are as
 * near by their rounded names, it is the larger one, but for one folder whose choice is listed here. So all 429 canonical ids of
 * SAELens's list come out. null where the folder has none.
 *
 * @param repo `org/name`
 * @param files paths of the repository
 */
export function canonicalOf(repo: string, folder: string, files: readonly string[]): string | null {
  const listed = tiesTheOtherWay[`${repo}/${folder}`];
  if (listed !== undefined && files.includes(`${listed}/params.npz`)) return listed;
  let best: { readonly path: string; readonly l0: number } | null = null;
  for (const file of files) {
    const [, path, l0] = /^(.+\/average_l0_(\d+))\/params\.npz$/u.exec(file) ?? [];
    if (path === undefined || !path.startsWith(`${folder}/average_l0_`)) continue;
    const found = { path, l0: Number(l0) };
    const [distance, bestDistance] = [
      Math.abs(found.l0 - 100),
      best === null ? Infinity : Math.abs(best.l0 - 100),
    ];
    if (
      distance < bestDistance ||
      (best !== null && distance === bestDistance && found.l0 > best.l0)
    )
      best = found;
  }
  return best?.path ?? null;
}
