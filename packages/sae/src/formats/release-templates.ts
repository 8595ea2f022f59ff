/** A release, or several of one form, whose ids become paths by one of a few forms. `<name>` stands for a group of either form. */
interface ReleaseTemplate {
  readonly release: RegExp;
  /** `org/name`. */
  readonly repo: string;
  /** The first whose form the id has. An id of no form is a path itself. */
  readonly ids?: readonly (readonly [id: RegExp, path: string])[];
}

const block = /^blocks\.(?<layer>\d+)\./u;
const benchIds = (folder: string): NonNullable<ReleaseTemplate["ids"]> => [
  [
    /^blocks\.(?<layer>\d+)\.hook_resid_post__(?<trainer>trainer_\d+)$/u,
    `${folder}/resid_post_layer_<layer>/<trainer>`,
  ],
  [
    /^blocks\.(?<layer>\d+)\.hook_resid_post__(?<trainer>trainer_\d+_step_\d+)$/u,
    `${folder}/resid_post_layer_<layer>_checkpoints/<trainer>`,
  ],
];

const templates: readonly ReleaseTemplate[] = [
  { release: /^gpt2-small-res-jb$/u, repo: "jbloom/GPT2-Small-SAEs-Reformatted" },
  {
    release: /^gpt2-small-res-jb-feature-splitting$/u,
    repo: "jbloom/GPT2-Small-Feature-Splitting-Experiment-Layer-8",
  },
  {
    // These folders have the ending of a file.
    release: /^gpt2-small-resid-post-v5-32k$/u,
    repo: "jbloom/GPT2-Small-OAI-v5-32k-resid-post-SAEs",
    ids: [[block, "v5_32k_layer_<layer>.pt"]],
  },
  {
    release: /^gpt2-small-(?<site>attn-out|mlp-out|resid-mid|resid-post)-v5-(?<width>32k|128k)$/u,
    repo: "jbloom/GPT2-Small-OAI-v5-<width>-<site>-SAEs",
    ids: [[block, "v5_<width>_layer_<layer>"]],
  },
  {
    release: /^gpt2-small-(?<kind>res_\w+-ajt)$/u,
    repo: "neuronpedia/gpt2-small__<kind>",
    ids: [[block, "<layer>-<kind>"]],
  },
  {
    release: /^pythia-70m-deduped-(?<kind>(?:att|mlp|res)-sm)$/u,
    repo: "ctigges/pythia-70m-deduped__<kind>_processed",
    ids: [
      [/^blocks\.0\.hook_resid_pre$/u, "e-<kind>"],
      [block, "<layer>-<kind>"],
    ],
  },
  { release: /^llama-3-8b-it-res-jh$/u, repo: "Juliushanhanhan/llama-3-8b-it-res" },
  {
    release: /^mistral-7b-res-wg$/u,
    repo: "JoshEngels/Mistral-7B-Residual-Stream-SAEs",
    ids: [[block, "mistral_7b_layer_<layer>"]],
  },
  {
    release: /^gemma-2b-it-res-jb$/u,
    repo: "jbloom/Gemma-2b-IT-Residual-Stream-SAEs",
    ids: [[/^blocks\.\d+\.hook_resid_post$/u, "gemma_2b_it_<id>_16384"]],
  },
  {
    release: /^gemma-2b-res-jb$/u,
    repo: "jbloom/Gemma-2b-Residual-Stream-SAEs",
    ids: [
      [/^blocks\.0\.hook_resid_post$/u, "gemma_2b_<id>_16384_anthropic"],
      [/^blocks\.6\.hook_resid_post$/u, "gemma_2b_<id>_16384_anthropic_fast_lr"],
      [/^blocks\.\d+\.hook_resid_post$/u, "gemma_2b_<id>_16384"],
    ],
  },
  {
    release: /^sae_bench_(?<name>gemma-2-2b_(?:topk|vanilla)_(?<width>width-2pow\d+_date-1109))$/u,
    repo: "canrager/saebench_gemma-2-2b_<width>",
    ids: benchIds("<name>"),
  },
  {
    release: /^sae_bench_(?<name>pythia70m_sweep_\w+)$/u,
    repo: "canrager/lm_sae",
    ids: benchIds("<name>"),
  },
  {
    release: /^saebench_gemma-2-2b_width-2pow12_date-0108$/u,
    repo: "adamkarvonen/<release>",
    ids: benchIds("MatryoshkaBatchTopK_gemma-2-2b__0108"),
  },
  {
    release: /^saebench_gemma-2-2b_(?<width>width-2pow\d+_date-0107)$/u,
    repo: "canrager/<release>",
    ids: benchIds("gemma-2-2b_matryoshka_batch_top_k_<width>"),
  },
  {
    release: /^(?<model>gemma-2-2b)-res-matryoshka-dc$/u,
    repo: "chanind/<model>-batch-topk-matryoshka-saes-w-32k-l0-40",
    ids: [[block, "standard/<id>"]],
  },
  {
    release: /^gemma-2-2b-res-snap-matryoshka-dc$/u,
    repo: "chanind/gemma-2-2b-batch-topk-matryoshka-saes-w-32k-l0-40",
    ids: [[block, "snap/<id>"]],
  },
  {
    release: /^gemma-2-9b-res-matryoshka-dc$/u,
    repo: "chanind/gemma-2-9b-batch-topk-matryoshka-saes-w-32k-l0-60",
  },
  {
    release: /^gemma-3-1b-res-matryoshka-dc$/u,
    repo: "chanind/gemma-3-1b-batch-topk-matryoshka-saes-w-32k-l0-40",
  },
  {
    release: /^mwhanna-(?<name>qwen3-[\d.]+b-transcoders(?:-lowl0)?)$/u,
    repo: "mwhanna/<name>",
    ids: [[/^layer_\d+$/u, "<id>.safetensors"]],
  },
  {
    release: /^(?<model>llama-3\.1-8b-instruct|qwen2\.5-7b-instruct|gpt-oss-20b)-andyrdt$/u,
    repo: "andyrdt/saes-<model>",
    ids: [[/^(?<folder>resid_post_layer_\d+)_(?<trainer>trainer_\d+)$/u, "<folder>/<trainer>"]],
  },
  {
    release: /^deepseek-r1-distill-llama-8b-qresearch$/u,
    repo: "qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19",
    ids: [[block, "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt"]],
  },
];

/** The repository and path of a release that one of these forms describes; null for others. */
export function templatedSae(
  release: string,
  id: string,
): { readonly repo: string; readonly path: string } | null {
  for (const template of templates) {
    const found = template.release.exec(release);
    if (found === null) continue;
    const groups: Record<string, string | undefined> = { release, id, ...found.groups };
    const [form, path = id] = template.ids?.find(([known]) => known.test(id)) ?? [];
    const inside = { ...groups, ...form?.exec(id)?.groups };
    return { repo: filled(template.repo, groups), path: filled(path, inside) };
  }
  return null;
}

function filled(text: string, groups: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(/<(\w+)>/gu, (_, name: string) => groups[name] ?? "");
}
