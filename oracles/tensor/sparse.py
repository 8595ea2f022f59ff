"""Goldens of the differentiable sparse operators of packages/tensor, forward and gradient, from PyTorch and SAELens.

    python oracles/tensor/sparse.py packages/tensor/src/testing/goldens/sparse.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values; results are computed in f64 and stored as f32. Every case is the sum of decode(encode(x)) times a given
gradient, plus a penalty on the L0 for JumpReLU; the dense forms below are what autograd sees.
"""

import sys

import torch
import torch.nn.functional as F
from pack import case, normal, start, write
from sae_lens.saes.jumprelu_sae import JumpReLU, Step


def top_k(pre, k):
    top = pre.topk(k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, top.indices, F.relu(top.values))


def batch_top_k(pre, k):
    """Bussmann et al., 2024: the rows * k largest of the whole batch."""
    flat = F.relu(pre).flatten()
    top = flat.topk(int(k * pre.shape[0]))
    return torch.zeros_like(flat).scatter(-1, top.indices, top.values).reshape(pre.shape)


def encoder(activation, **settings):
    rows, d, width = 14, 6, 24
    x, weight, bias = normal(rows, d), normal(width, d, scale=0.5), normal(width, scale=0.2)
    decoder, decoder_bias = normal(width, d), normal(d)
    d_out, d_l0 = normal(rows, d), normal(rows, scale=0.3)
    leaves = [tensor.requires_grad_() for tensor in (x, weight, bias, decoder, decoder_bias)]
    threshold = (0.2 + normal(width, scale=0.3).abs()).float().double().requires_grad_()
    pre = x @ weight.T + bias
    if activation == "topK":
        latents = top_k(pre, settings["k"])
    elif activation == "batchTopK":
        latents = batch_top_k(pre, settings["k"])
    elif activation == "relu":
        latents = F.relu(pre)
    else:
        latents = JumpReLU.apply(pre, threshold, settings["bandwidth"], False)
    out = latents @ decoder + decoder_bias
    loss = (out * d_out).sum()
    extra = {}
    if activation == "jumpRelu":
        l0 = Step.apply(pre, threshold, settings["bandwidth"], False).sum(-1)
        loss = loss + (l0 * d_l0).sum()
        extra = {"l0": l0}
    loss.backward()
    if activation == "jumpRelu":
        extra |= {"dThreshold": threshold.grad}
    names = ("x", "weight", "bias", "decoder", "decoderBias")
    gradients = {f"d{name[0].upper()}{name[1:]}": leaf.grad for name, leaf in zip(names, leaves)}
    return case(
        activation=activation, **settings, **dict(zip(names, leaves)), threshold=threshold, dOut=d_out, dL0=d_l0,
        latents=latents, out=out, **gradients, **extra,
    )


def main():
    start(20260404)
    rows = normal(5, 7)
    write(sys.argv[1], {
        "encoders": {
            "topK": encoder("topK", k=4),
            "batchTopK": encoder("batchTopK", k=3.5),
            "jumpRelu": encoder("jumpRelu", bandwidth=0.4),
            "relu": encoder("relu"),
        },
        "clipRowNorms": case(x=rows, maximum=2.0, out=torch.renorm(rows, 2, 0, 2.0)),
    })


main()
