"""Goldens of matrix products from PyTorch, forward and gradient.

    python oracles/tensor/matmul.py packages/tensor/src/testing/goldens/matmul.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values; results are computed in f64 and stored as f32. versions.txt, which make.py writes, says with what.
"""

import sys

import torch
import torch.nn.functional as F
from pack import case, normal, start, write

start(20260405)


def with_gradients(inputs, forward, **settings):
    """The output, a gradient to it, and what that is to each input."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in inputs.items()}
    out = forward(**leaves)
    d_out = normal(out.numel()).reshape(out.shape)
    out.backward(d_out)
    gradients = {f"d{name.capitalize()}": leaf.grad for name, leaf in leaves.items()}
    return case(**inputs, out=out, dOut=d_out, **gradients, **settings)


def product(shape_a, shape_b, transpose_a=False, transpose_b=False, alpha=1.0):
    def forward(a, b):
        left, right = a.mT if transpose_a else a, b.mT if transpose_b else b
        return alpha * torch.matmul(left, right)

    inputs = {"a": normal(*shape_a), "b": normal(*shape_b)}
    return with_gradients(inputs, forward, transposeA=transpose_a, transposeB=transpose_b, alpha=alpha)


def linear(activation, with_bias=True):
    functions = {
        "none": lambda v: v, "relu": F.relu, "silu": F.silu, "gelu": F.gelu, "geluTanh": lambda v: F.gelu(v, approximate="tanh"),
    }

    def forward(x, weight, bias=None):
        return functions[activation](F.linear(x, weight, bias))

    inputs = {"x": normal(2, 5, 13), "weight": normal(19, 13, scale=0.4)} | ({"bias": normal(19)} if with_bias else {})
    return with_gradients(inputs, forward, activation=activation)


if __name__ == "__main__":
    write(
        sys.argv[1],
        {
            "products": {
                "plain": product((7, 19), (19, 11)),
                "bTransposed": product((7, 19), (11, 19), transpose_b=True),
                "aTransposed": product((19, 7), (19, 11), transpose_a=True),
                "bothTransposedHalf": product((19, 7), (11, 19), transpose_a=True, transpose_b=True, alpha=0.5),
                "batched": product((2, 3, 5, 9), (2, 3, 9, 6)),
                "sharedRight": product((2, 3, 5, 9), (9, 6)),
                "sharedLeft": product((5, 9), (4, 9, 6)),
                "crossed": product((2, 1, 5, 9), (3, 9, 6)),
                "crossedTransposed": product((2, 1, 9, 5), (3, 6, 9), transpose_a=True, transpose_b=True),
                "dot": product((17,), (17,)),
                "vectorMatrix": product((17,), (17, 6)),
                "matrixVector": product((2, 6, 17), (17,)),
                "outer": product((6, 1), (1, 9)),
            },
            "linear": {name: linear(name) for name in ("none", "relu", "silu", "gelu", "geluTanh")} | {"withoutBias": linear("none", False)},
        },
    )
