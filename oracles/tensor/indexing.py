"""Goldens of layout, indexing, sorting and running sums from PyTorch, with the gradient of each.

    python oracles/tensor/indexing.py packages/tensor/src/testing/goldens/indexing.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values; results are computed in f64. Made with the versions in versions.txt.
"""

import sys

import torch
import torch.nn.functional as F
from pack import case, normal, start, write

start(20260105)


def run(operator, inputs, **others):
    """The operator's output and its gradients to `inputs`, which have names, for a random gradient to the output."""
    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    out = operator(*leaves.values())
    d_out = normal(*out.shape)
    out.backward(d_out)
    gradients = {f"d{name[0].upper()}{name[1:]}": value.grad for name, value in leaves.items()}
    return case(**inputs, out=out, dOut=d_out, **gradients, **others)


def integers(bound, *shape):
    return torch.randint(0, bound, shape)


def layout():
    x = normal(3, 4, 5)
    return {
        "permute": run(lambda v: v.permute(2, 0, 1), {"x": x}),
        "transpose": run(lambda v: v.transpose(0, -1), {"x": x}),
        "slice": run(lambda v: v[:, 1:3], {"x": x}),
        "concat": run(lambda v: torch.cat([v, v[:, :2]], 1), {"x": x}),
        "stack": run(lambda v: torch.stack([v, v * v], -1), {"x": x}),
        "split": run(lambda v: torch.cat(torch.split(v, [1, 3], 1)[::-1], 1), {"x": x}),
        "expand": run(lambda v: v[:, :1].expand(2, 3, 6, 5), {"x": x}),
        "pad": run(lambda v: F.pad(v, (1, 2, 0, 3, 2, 0), value=-1.5), {"x": x}),
        "flip": run(lambda v: v.flip(0, 2), {"x": x}),
        "repeat": run(lambda v: v.repeat(2, 1, 3, 2), {"x": x}),
        "repeatInterleave": run(lambda v: v.repeat_interleave(3, 1), {"x": x}),
    }


def by_index():
    x, updates = normal(4, 6, 3), normal(4, 9, 3)
    ids, indices = integers(6, 9), integers(6, 4, 9, 3)
    last = integers(3, 4, 6, 5)
    table, rows = normal(7, 5), integers(7, 2, 4)
    return {
        "embedding": run(lambda t: F.embedding(rows, t), {"table": table}, ids=rows),
        "take": run(lambda v: v.index_select(1, ids), {"x": x}, ids=ids),
        "indexAdd": run(lambda v, u: v.index_add(1, ids, u), {"x": x, "updates": updates}, ids=ids),
        "gather": run(lambda v: v.gather(1, indices), {"x": x}, ids=indices),
        "gatherLast": run(lambda v: v.gather(2, last), {"x": x}, ids=last),
        "scatterAdd": run(lambda v, u: v.scatter_add(1, indices, u), {"x": x, "updates": updates}, ids=indices),
        "oneHot": case(ids=rows, out=F.one_hot(rows, 8).double()),
    }


def order():
    x = normal(5, 12)
    ties = torch.randint(-3, 4, (5, 12)).double()
    result = {}
    for name, values in (("plain", x), ("ties", ties)):
        for direction in ("ascending", "descending"):
            descending = direction == "descending"
            golden = run(lambda v: v.sort(dim=-1, descending=descending, stable=True).values, {"x": values})
            result[f"{name} {direction}"] = golden | case(indices=values.sort(dim=-1, descending=descending, stable=True).indices)
    nan = x.clone()
    nan[0, 3] = nan[2, 0] = nan[2, 7] = float("nan")
    result["nan"] = case(x=nan, out=nan.sort(dim=-1, stable=True).values, indices=nan.sort(dim=-1, stable=True).indices)
    top = run(lambda v: v.topk(4, -1).values, {"x": x}) | case(indices=x.topk(4, -1).indices)
    everywhere = run(lambda v: v.flatten().topk(9).values, {"x": x}) | case(indices=x.flatten().topk(9).indices)
    return {"sort": result, "topK": top, "topKAll": everywhere}


def cumsum():
    x = normal(3, 7, 4)

    def exclusive(v):
        return torch.cat([torch.zeros_like(v[:, :1]), v.cumsum(1)[:, :-1]], 1)

    return {
        "first": run(lambda v: v.cumsum(0), {"x": x}, axis=0, reverse=False, exclusive=False),
        "last": run(lambda v: v.cumsum(-1), {"x": x}, axis=-1, reverse=False, exclusive=False),
        "reverse": run(lambda v: v.flip(1).cumsum(1).flip(1), {"x": x}, axis=1, reverse=True, exclusive=False),
        "exclusive": run(exclusive, {"x": x}, axis=1, reverse=False, exclusive=True),
    }


def conversions():
    """Numbers within the integers' ranges: beyond them PyTorch's result depends on the processor."""
    x = torch.cat([normal(40, scale=90).float().abs().clamp(0, 255), torch.tensor([0.5, 1.5, 254.999, 255.0])])
    whole = torch.tensor([0, -1, 2**31 - 1, -(2**31), 2**24 + 1, -(2**24) - 3, 77], dtype=torch.int32)
    return case(x=x, i32=x.to(torch.int32), negative=(-x).to(torch.int32), u8=x.to(torch.uint8), whole=whole, f32=whole.float(), f16=x.half().float(), bf16=x.bfloat16().float())


write(sys.argv[1], {"layout": layout(), "byIndex": by_index(), **order(), "cumsum": cumsum(), "conversions": conversions()})
