"""Goldens of reductions with their gradients, from PyTorch.

    python oracles/tensor/reduce.py packages/tensor/src/testing/goldens/reduce.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values, results are computed in f64. max and min are amax and amin, whose gradient is shared among equals. Made with
the versions in versions.txt.
"""

import sys

import torch
from pack import normal, pack, start, write

start(20260102)


def backward(function, x):
    x = x.detach().clone().requires_grad_()
    out = function(x)
    d_out = normal(*out.shape) if out.dim() > 0 else normal(1)[0]
    out.backward(d_out)
    return {"x": pack(x), "dOut": pack(d_out), "out": pack(out), "gradient": pack(x.grad)}


def prod(x, dim, keepdim):
    """torch.prod takes one axis at a time."""
    for axis in sorted(dim, reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


def amax(x, dim, keepdim):
    return x.amax(dim, keepdim=keepdim)


def amin(x, dim, keepdim):
    return x.amin(dim, keepdim=keepdim)


reductions = {
    "sum": lambda x, dim, keepdim: x.sum(dim, keepdim=keepdim),
    "mean": lambda x, dim, keepdim: x.mean(dim, keepdim=keepdim),
    "max": amax,
    "min": amin,
    "sumOfSquares": lambda x, dim, keepdim: (x * x).sum(dim, keepdim=keepdim),
    "logSumExp": lambda x, dim, keepdim: x.logsumexp(dim, keepdim=keepdim),
    "norm": lambda x, dim, keepdim: torch.linalg.vector_norm(x, 2, dim, keepdim=keepdim),
    "normOne": lambda x, dim, keepdim: torch.linalg.vector_norm(x, 1, dim, keepdim=keepdim),
    "variance": lambda x, dim, keepdim: x.var(dim, correction=1, keepdim=keepdim),
    "varianceBiased": lambda x, dim, keepdim: x.var(dim, correction=0, keepdim=keepdim),
    "prod": prod,
}

cases = []
for name, run in reductions.items():
    for axes, keep in (([2], False), ([0], False), ([1], True), ([0, 2], False), ([1, 2], True), ([0, 1, 2], False)):
        # Few different values for max and min, so that there are ties; prod meets zeros.
        x = torch.randint(-2, 3, (3, 4, 5)).double() if name in ("max", "min", "prod") else normal(3, 4, 5, scale=2)
        if name == "prod":
            x = torch.where(x == 0, torch.where(torch.rand(x.shape) < 0.2, 0.0, 1.25), x)
        cases.append({"operator": name, "axes": axes, "keepDims": keep} | backward(lambda v: run(v, axes, keep), x))

mask = torch.rand(3, 4, 5) < 0.35
unique = normal(3, 7, 4)
write(sys.argv[1], {
    "gradients": cases,
    "indices": {"x": pack(unique), "cases": [{"axis": axis, "argmax": pack(unique.argmax(axis)), "argmin": pack(unique.argmin(axis))} for axis in (0, 1, -1)]},
    "masks": {"x": pack(mask), "cases": [{"axis": axis, "any": pack(mask.any(axis)), "all": pack(mask.all(axis))} for axis in (0, 1, -1)]},
})
