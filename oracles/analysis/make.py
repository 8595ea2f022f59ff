"""Goldens for packages/analysis: TransformerLens's answers on the small Llama and GPT-2 of packages/models.

  python oracles/analysis/make.py --models packages/models/src/__fixtures__/families --out packages/analysis/src/__fixtures__

For `llama` and `gpt2`: HookedTransformer with the same raw weights, after asserting that its
logits are transformers'. Written as NAME.golden.safetensors (f32):

  clean, corrupt                     tokens [2, 10]; the corrupt ones differ at position 3
  target, contrast                   one token for each row
  decomposed, accumulated            ActivationCache.decompose_resid and accumulated_resid, [component, batch, pos, d_model]
  heads                              stack_head_results, [layer * head, batch, pos, d_model]
  attribution, attribution_heads     logit_attrs of them at the last position for target - contrast, [component, batch]
  lens                               logits of the accumulated residuals (ln_final and unembed), [component, batch, pos, vocab]
  patch.resid_pre, .attn_out, .mlp_out   patching.get_act_patch_*, [layer, pos], the metric being the mean logit difference
  patch.z, patch.pattern             get_act_patch_attn_head_out_all_pos and _pattern_all_pos, [layer, head]
  attribute.resid_pre, .z            (clean - corrupt) * gradient, summed over features, rows [layer, pos] and [layer, head]
  repeated, patterns                 tokens [1, 14], seven random ones twice, and their attention, [layer, head, query, key]
  previous, duplicate, induction     means over diagonals of the patterns, [layer, head]

Seed: 5. Needs torch, transformers, transformer-lens, safetensors; the versions used are in versions.txt.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformer_lens import HookedTransformer, HookedTransformerConfig, patching
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights, convert_llama_weights
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)


def lens(model):
    """The same weights in TransformerLens, unprocessed."""
    c = model.config
    gpt2 = c.model_type == "gpt2"
    rope = {} if gpt2 else c.rope_parameters
    cfg = HookedTransformerConfig(
        n_layers=c.num_hidden_layers,
        d_model=c.hidden_size,
        n_ctx=c.max_position_embeddings,
        d_head=c.hidden_size // c.num_attention_heads if gpt2 else c.head_dim,
        n_heads=c.num_attention_heads,
        n_key_value_heads=None if gpt2 else c.num_key_value_heads,
        d_mlp=4 * c.hidden_size if gpt2 else c.intermediate_size,
        d_vocab=c.vocab_size,
        act_fn="gelu_new" if gpt2 else "silu",
        normalization_type="LN" if gpt2 else "RMS",
        final_rms=not gpt2,
        gated_mlp=not gpt2,
        positional_embedding_type="standard" if gpt2 else "rotary",
        rotary_dim=None if gpt2 else c.head_dim,
        rotary_base=10000 if gpt2 else rope["rope_theta"],
        rotary_adjacent_pairs=False,
        eps=c.layer_norm_epsilon if gpt2 else c.rms_norm_eps,
        dtype=torch.float32,
        device="cpu",
        default_prepend_bos=False,
    )
    hooked = HookedTransformer(cfg)
    convert = convert_gpt2_weights if gpt2 else convert_llama_weights
    missing = hooked.load_state_dict(convert(model, cfg), strict=False)
    assert not [key for key in missing.missing_keys if "W_" in key or key.endswith(".w")], missing
    hooked.set_use_attn_result(True)
    return hooked.eval()


def golden(model):
    generator = torch.Generator().manual_seed(5)
    hooked = lens(model)
    vocabulary = model.config.vocab_size
    clean = torch.randint(0, vocabulary, (2, 10), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 3] = (corrupt[:, 3] + 17) % vocabulary
    target, contrast = torch.tensor([4, 9]), torch.tensor([11, 2])
    rows = torch.arange(2)

    def metric(logits):
        return (logits[rows, -1, target] - logits[rows, -1, contrast]).mean()

    with torch.no_grad():
        expected = model(clean).logits
        logits, cache = hooked.run_with_cache(clean)
        difference = ((logits - expected).abs().max() / expected.std()).item()
        assert difference < 1e-5, difference
        decomposed = cache.decompose_resid(layer=-1, mlp_input=False, mode="all")
        accumulated = cache.accumulated_resid(layer=-1)
        heads = cache.stack_head_results(layer=-1)
        lensed = torch.stack([hooked.unembed(hooked.ln_final(stream)) for stream in accumulated])

        # As logit_attrs does, but for a difference of tokens in each row.
        direction = hooked.W_U[:, target].T - hooked.W_U[:, contrast].T

        def attributed(stack):
            scaled = cache.apply_ln_to_stack(stack[:, :, -1], layer=-1, pos_slice=-1)
            # apply_ln_to_stack leaves the norm's weight out, which TransformerLens takes to be folded.
            return (scaled * hooked.ln_final.w * direction).sum(-1)

        out = {
            "clean": clean.to(torch.int32),
            "corrupt": corrupt.to(torch.int32),
            "target": target.to(torch.int32),
            "contrast": contrast.to(torch.int32),
            "logits": expected,
            "decomposed": decomposed,
            "accumulated": accumulated,
            "heads": heads,
            "attribution": attributed(decomposed),
            "attribution_heads": attributed(heads),
            "lens": lensed,
            "clean_metric": metric(hooked(clean))[None],
            "corrupt_metric": metric(hooked(corrupt))[None],
            "patch.resid_pre": patching.get_act_patch_resid_pre(hooked, corrupt, cache, metric),
            "patch.attn_out": patching.get_act_patch_attn_out(hooked, corrupt, cache, metric),
            "patch.mlp_out": patching.get_act_patch_mlp_out(hooked, corrupt, cache, metric),
            "patch.z": patching.get_act_patch_attn_head_out_all_pos(hooked, corrupt, cache, metric),
            "patch.pattern": patching.get_act_patch_attn_head_pattern_all_pos(hooked, corrupt, cache, metric),
        }

    values, gradients = {}, {}
    names = lambda name: name.endswith(("hook_resid_pre", "hook_z"))

    def keep(value, hook):
        values[hook.name] = value.detach()

    def keep_gradient(value, hook):
        gradients[hook.name] = value.detach()

    hooked.add_hook(names, keep, "fwd")
    hooked.add_hook(names, keep_gradient, "bwd")
    metric(hooked(corrupt)).backward()
    hooked.reset_hooks()
    layers = range(model.config.num_hidden_layers)
    effect = lambda name: (cache[name] - values[name]) * gradients[name]
    out["attribute.resid_pre"] = torch.stack([effect(f"blocks.{layer}.hook_resid_pre").sum((0, 2)) for layer in layers])
    out["attribute.z"] = torch.stack([effect(f"blocks.{layer}.attn.hook_z").sum((0, 1, 3)) for layer in layers])

    once = torch.randperm(vocabulary, generator=generator)[:7]
    repeated = torch.cat([once, once])[None]
    with torch.no_grad():
        _, seen = hooked.run_with_cache(repeated)
    patterns = torch.stack([seen[f"blocks.{layer}.attn.hook_pattern"][0] for layer in layers])
    out["repeated"] = repeated.to(torch.int32)
    out["patterns"] = patterns
    out["previous"] = patterns.diagonal(-1, dim1=-2, dim2=-1).mean(-1)
    out["duplicate"] = patterns.diagonal(-7, dim1=-2, dim2=-1).mean(-1)
    out["induction"] = patterns.diagonal(-6, dim1=-2, dim2=-1)[..., 1:].mean(-1)
    return {key: value.detach().contiguous().clone() for key, value in out.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for name in ("llama", "gpt2"):
        model = AutoModelForCausalLM.from_pretrained(args.models / name, dtype=torch.float32, attn_implementation="eager")
        save_file(golden(model.eval()), args.out / f"{name}.golden.safetensors")
        print(name)
    packages = ("torch", "transformers", "transformer-lens", "safetensors")
    lines = [f"{package} {version(package)}\n" for package in packages]
    (Path(__file__).parent / "versions.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
