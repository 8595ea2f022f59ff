"""Goldens of elementwise operators, broadcasting and masks with their gradients, from PyTorch.

    python oracles/tensor/elementwise.py packages/tensor/src/testing/goldens/elementwise.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values, results are computed in f64. Made with the versions in versions.txt.
"""

import sys

import torch
import torch.nn.functional as F
from pack import case, normal, pack, start, write

start(20260101)


def backward(function, *inputs):
    """A function of tensors: its output, and the gradients to its inputs from a random gradient to the output."""
    inputs = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    out = function(*inputs)
    d_out = normal(*out.shape)
    out.backward(d_out)
    return {"inputs": [pack(tensor) for tensor in inputs], "dOut": pack(d_out), "out": pack(out), "gradients": [pack(tensor.grad) for tensor in inputs]}


def f32(tensor):
    return tensor.float().double()


def unary():
    x = f32(torch.cat([torch.linspace(-9, 9, 48), normal(48, scale=2)]))
    positive = f32(x.abs() + 0.02)
    functions = {
        "abs": torch.abs, "cos": torch.cos, "erf": torch.erf, "exp": torch.exp, "expm1": torch.expm1, "gelu": F.gelu,
        "geluTanh": lambda v: F.gelu(v, approximate="tanh"), "neg": torch.neg, "reciprocal": torch.reciprocal, "relu": F.relu,
        "sigmoid": torch.sigmoid, "sign": torch.sign, "silu": F.silu, "sin": torch.sin, "softplus": F.softplus, "square": torch.square,
        "tanh": torch.tanh,
    }
    of_positive = {"log": torch.log, "log1p": torch.log1p, "rsqrt": torch.rsqrt, "sqrt": torch.sqrt}
    return {name: backward(run, x) for name, run in functions.items()} | {name: backward(run, positive) for name, run in of_positive.items()}


def numbers():
    """Operators with numbers among their arguments; the values 0 and 1 meet the bounds of clamp."""
    x = f32(torch.cat([normal(28, scale=2), torch.tensor([0.0, 1.0, -1.0, 0.5])]))
    positive = f32(x.abs() + 0.02)
    return {
        "clamp": backward(lambda v: v.clamp(-1, 1), x), "clampLow": backward(lambda v: v.clamp(min=0), x),
        "cube": backward(lambda v: v**3, x), "root": backward(lambda v: v**0.4, positive), "inverse": backward(lambda v: v**-1.5, positive),
        "affine": backward(lambda v: v * -1.5 + 0.25, x), "fraction": backward(lambda v: 2 / v, positive),
        "maximum": backward(lambda v: torch.maximum(v, torch.tensor(0.5, dtype=torch.float64)), x),
    }


def ties(*shape):
    """Few different values, so that two of them are often equal."""
    return torch.randint(-2, 3, shape).double()


def binary():
    functions = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum, "minimum": torch.minimum}
    shapes = [((5, 7), (5, 7)), ((2, 3, 4), (3, 1)), ((1, 3, 1), (2, 1, 5)), ((4,), (3, 4)), ((1,), (2, 3))]
    cases = []
    for name, run in functions.items():
        for a_shape, b_shape in shapes:
            a, b = (ties(*a_shape), ties(*b_shape)) if name in ("maximum", "minimum") else (normal(*a_shape), f32(normal(*b_shape).sign() * (normal(*b_shape).abs() + 0.2)))
            cases.append({"operator": name} | backward(run, a, b))
    return cases


def gated():
    gate, up = normal(4, 9, scale=3), normal(4, 9)
    return {
        "siluMul": backward(lambda g, u: F.silu(g) * u, gate, up), "geluMul": backward(lambda g, u: F.gelu(g) * u, gate, up),
        "geluTanhMul": backward(lambda g, u: F.gelu(g, approximate="tanh") * u, gate, up),
    }


def choose():
    condition = torch.rand(3, 1, 5) < 0.5
    return {"condition": pack(condition)} | backward(lambda a, b: torch.where(condition, a, b), normal(4, 1), normal(3, 4, 5))


def masks():
    inf, nan = float("inf"), float("nan")
    a = torch.tensor([nan, inf, -inf, 0.0, -0.0, 1.0, 2.5]).reshape(7, 1)
    b = a.reshape(1, 7)
    i, j = torch.randint(-2, 3, (4, 5)), torch.randint(-2, 3, (5,))
    comparisons = {"equal": torch.eq, "notEqual": torch.ne, "less": torch.lt, "lessEqual": torch.le, "greater": torch.gt, "greaterEqual": torch.ge}
    p, q = torch.rand(3, 4) < 0.5, torch.rand(4) < 0.5
    return {
        "floats": case(a=a, b=b, **{name: run(a, b) for name, run in comparisons.items()}),
        "integers": case(a=i, b=j, **{name: run(i, j) for name, run in comparisons.items()}),
        "logical": case(a=p, b=q, logicalAnd=p & q, logicalOr=p | q, logicalXor=p ^ q, logicalNot=~p),
        "isFinite": case(x=a, out=torch.isfinite(a)),
    }


write(sys.argv[1], {"unary": unary(), "numbers": numbers(), "binary": binary(), "gated": gated(), "where": choose(), "masks": masks()})
