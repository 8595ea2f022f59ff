"""A Llama of transformers in TransformerLens, with its raw weights: no folding, no centring, no added first token."""

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_llama_weights


def hooked_llama(model, context=None):
    """`model` is a `LlamaForCausalLM`; `context` is the length to make room for, by default the model's own."""
    c = model.config
    cfg = HookedTransformerConfig(
        n_layers=c.num_hidden_layers,
        d_model=c.hidden_size,
        n_ctx=context or c.max_position_embeddings,
        d_head=c.head_dim,
        n_heads=c.num_attention_heads,
        n_key_value_heads=c.num_key_value_heads,
        d_mlp=c.intermediate_size,
        d_vocab=c.vocab_size,
        act_fn="silu",
        normalization_type="RMS",
        final_rms=True,
        gated_mlp=True,
        positional_embedding_type="rotary",
        rotary_dim=c.head_dim,
        rotary_base=c.rope_parameters["rope_theta"],
        rotary_adjacent_pairs=False,
        eps=c.rms_norm_eps,
        dtype=torch.float32,
        device="cpu",
        default_prepend_bos=False,
    )
    hooked = HookedTransformer(cfg)
    missing = hooked.load_state_dict(convert_llama_weights(model, cfg), strict=False).missing_keys
    assert not [key for key in missing if "W_" in key or key.endswith(".w")], missing
    return hooked.eval()
