"""Goldens of the rotary scalings whose frequencies depend on the sequence's length, `dynamic` and `longrope`:

  python oracles/models/rope_lengths.py

Gives the small checkpoints of oracles/models/families.py other rope parameters and writes packages/models/src/__fixtures__/
rope-lengths.json, the configuration of each case, and rope-lengths.golden.safetensors (f32):

  tokens                 [20]
  CASE.logits.N          transformers' logits of the first N tokens, N = 6, 8, 9 and 20: within the original 8 positions and beyond
  CASE.greedy            12 tokens after the first 5, with a cache: keys keep the rotation of the step that made them

A model is loaded anew for each sequence, since transformers' dynamic frequencies remember longer ones. Seed 5. Needs torch,
transformers, safetensors; the versions used are in versions.txt.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)
OUT = Path(__file__).resolve().parents[2] / "packages/models/src/__fixtures__"


def longrope(pairs, **more):
    spread = torch.arange(pairs) / pairs
    return dict(
        rope_type="longrope",
        short_factor=[round(1 + 0.5 * x, 3) for x in spread.tolist()],
        long_factor=[round(1 + 7 * x, 3) for x in spread.tolist()],
        original_max_position_embeddings=8,
        **more,
    )


# The checkpoint, the fields that change, and its rope parameters.
CASES = {
    "llama-dynamic": ("llama", dict(max_position_embeddings=8), dict(rope_type="dynamic", factor=4.0, rope_theta=500.0)),
    "llama-longrope": ("llama", {}, longrope(4, rope_theta=500.0)),
    "mistral-longrope-factors": ("mistral", {}, longrope(4, rope_theta=100.0, factor=3.0, attention_factor=1.3)),
    "gpt-neox-dynamic": (
        "gpt-neox-sequential",
        dict(max_position_embeddings=8),
        dict(rope_type="dynamic", factor=3.0, rope_theta=100.0, partial_rotary_factor=1.0),
    ),
}


def load(name):
    folder, fields, rope = CASES[name]
    path = OUT / "families" / folder
    config = AutoConfig.from_pretrained(path, **fields)
    config.rope_parameters = dict(rope)
    config.standardize_rope_params()
    model = AutoModelForCausalLM.from_pretrained(path, config=config, attn_implementation="eager", dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return model


tokens = torch.randint(3, 43, (20,), generator=torch.Generator().manual_seed(5))
golden, configs = {"tokens": tokens.int()}, {}
for name, (folder, fields, rope) in CASES.items():
    configs[name] = {"folder": folder, "fields": {**fields, "rope_parameters": rope}}
    for length in (6, 8, 9, 20):
        with torch.no_grad():
            golden[f"{name}.logits.{length}"] = load(name)(tokens[None, :length]).logits[0].contiguous()
    made = load(name).generate(tokens[None, :5], max_new_tokens=12, do_sample=False, pad_token_id=0)
    golden[f"{name}.greedy"] = made[0, 5:].int()
    # Without scaling it would be another model.
    plain = load(name)
    plain.config.rope_parameters = {**rope, "rope_type": "default"}
    rotary = type(plain.base_model.rotary_emb)(plain.config)
    plain.base_model.rotary_emb = rotary
    with torch.no_grad():
        assert (plain(tokens[None]).logits[0] - golden[f"{name}.logits.20"]).abs().max() > 0.01, name
    print(name, golden[f"{name}.greedy"].tolist())
save_file(golden, OUT / "rope-lengths.golden.safetensors")
(OUT / "rope-lengths.json").write_text(json.dumps(configs, indent=2) + "\n")
