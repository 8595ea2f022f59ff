"""Goldens of rotary embeddings: Hugging Face transformers' tables and rotations, and PyTorch's gradients of them.

    python oracles/tensor/position.py packages/tensor/src/testing/goldens/position.json
    npx oxfmt packages/tensor/src/testing/goldens

Tables are computed in f32, as models do; rotations by them in f64. Made with the versions in versions.txt.
"""

import sys

import torch
from pack import case, normal, start, write
from transformers.models.gpt_neox import modeling_gpt_neox
from transformers.models.gptj import modeling_gptj
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

start(20260104)

head, original = 16, 512
long_factor = [1.0 + 0.75 * pair for pair in range(head // 2)]
short_factor = [1.0 + 0.05 * pair for pair in range(head // 2)]

# What `ropeTables` takes, and what transformers does; positions up to the last one decide the sequence's length.
variants = {
    "default": (10_000.0, None, {"rope_type": "default"}, 2000),
    "largeBase": (1_000_000.0, None, {"rope_type": "default"}, 2000),
    "linear": (10_000.0, {"type": "linear", "factor": 8}, {"rope_type": "linear", "factor": 8.0}, 2000),
    "dynamicShort": (10_000.0, {"type": "dynamic", "factor": 4, "originalPositions": original}, {"rope_type": "dynamic", "factor": 4.0}, 300),
    "dynamicLong": (10_000.0, {"type": "dynamic", "factor": 4, "originalPositions": original}, {"rope_type": "dynamic", "factor": 4.0}, 2000),
    "llama3": (
        500_000.0,
        {"type": "llama3", "factor": 8, "lowFrequencyFactor": 1, "highFrequencyFactor": 4, "originalPositions": original},
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": original},
        2000,
    ),
    "yarn": (
        10_000.0,
        {"type": "yarn", "factor": 4, "originalPositions": original},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": original},
        2000,
    ),
    "yarnChosen": (
        10_000.0,
        {"type": "yarn", "factor": 16, "originalPositions": original, "betaFast": 16, "betaSlow": 2, "truncate": False, "attentionFactor": 1.2},
        {
            "rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": original, "beta_fast": 16, "beta_slow": 2,
            "truncate": False, "attention_factor": 1.2,
        },
        2000,
    ),
    "yarnScales": (
        10_000.0,
        {"type": "yarn", "factor": 40, "originalPositions": original, "mscale": 1, "mscaleAllDim": 0.5},
        {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": original, "mscale": 1.0, "mscale_all_dim": 0.5},
        2000,
    ),
    "longropeShort": (
        10_000.0,
        {"type": "longrope", "factor": 4, "originalPositions": original, "shortFactor": short_factor, "longFactor": long_factor},
        {
            "rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": original, "short_factor": short_factor,
            "long_factor": long_factor,
        },
        300,
    ),
    "longropeLong": (
        10_000.0,
        {"type": "longrope", "factor": 4, "originalPositions": original, "shortFactor": short_factor, "longFactor": long_factor},
        {
            "rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": original, "short_factor": short_factor,
            "long_factor": long_factor,
        },
        2000,
    ),
}


def table(base, scaling, parameters, length):
    # dynamic scaling reads the trained length from the config itself
    longest = original if parameters["rope_type"] == "dynamic" else 4 * original
    config = LlamaConfig(
        hidden_size=2 * head, num_attention_heads=2, max_position_embeddings=longest, rope_parameters={"rope_theta": base, **parameters}
    )
    positions = torch.tensor([0, 1, 2, 9, length // 3, length // 2, length - 2, length - 1])
    embedding = LlamaRotaryEmbedding(config)
    cos, sin = embedding(torch.zeros(1), positions[None])
    optional = {} if scaling is None else {"scaling": scaling}
    return case(
        dRotary=head, base=base, length=length, positions=positions.to(torch.int32), cos=cos[0, :, : head // 2], sin=sin[0, :, : head // 2],
        attentionFactor=float(embedding.attention_scaling), **optional,
    )


def rotation(d_head, d_rotary, interleaved, apply):
    """x [batch, positions, heads, dHead] turned by transformers, and the gradient of that."""
    batch, length, heads, base = 2, 6, 3, 10_000.0
    frequencies = 1.0 / (base ** (torch.arange(0, d_rotary, 2, dtype=torch.float) / d_rotary))
    positions = torch.randint(0, 40, (batch, length))
    angles = positions[..., None].float() * frequencies
    x = normal(batch, length, heads, d_head).requires_grad_()
    out = apply(x, angles.cos().double(), angles.sin().double())
    d_out = normal(*out.shape)
    out.backward(d_out)
    return case(
        x=x, out=out, dOut=d_out, dX=x.grad, positions=positions.flatten().to(torch.int32), dRotary=d_rotary, interleaved=interleaved, base=base
    )


def twice(angles):
    return torch.cat((angles, angles), -1)


def llama(x, cos, sin):
    return apply_rotary_pos_emb(x, x, twice(cos), twice(sin), unsqueeze_dim=2)[0]


def neox(x, cos, sin):
    return modeling_gpt_neox.apply_rotary_pos_emb(x, x, twice(cos), twice(sin), unsqueeze_dim=2)[0]


def gptj(x, cos, sin):
    width = 2 * cos.shape[-1]
    return torch.cat((modeling_gptj.apply_rotary_pos_emb(x[..., :width], sin, cos), x[..., width:]), -1)


rotations = {"llama": rotation(12, 12, False, llama), "gptNeox": rotation(24, 6, False, neox), "gptJ": rotation(20, 10, True, gptj)}
write(sys.argv[1], {"tables": {name: table(*variant) for name, variant in variants.items()}, "rotations": rotations})
