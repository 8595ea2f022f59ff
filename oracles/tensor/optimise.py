"""Goldens of the optimisers from PyTorch: twenty steps of SGD, Adam, AdamW and Muon on a small regression, with and without clipping.

    python oracles/tensor/optimise.py packages/tensor/src/testing/goldens/optimise.json
    npx oxfmt packages/tensor/src/testing/goldens

Inputs are f32 values; everything is computed in f64, and stored as f32 in base64. versions.txt is make.py's. PyTorch's Muon
orthogonalises in bfloat16; here that conversion is to f64, so that the same lines give exact numbers. It takes matrices alone, and
AdamW has the bias.
"""

import sys

import torch
from pack import case, normal, start, write

# A copy, as a conversion is: what follows works in place.
torch.Tensor.bfloat16 = lambda tensor: tensor.double().clone()

MUON = dict(lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")

CASES = {
    "sgd": (torch.optim.SGD, dict(lr=0.2), None),
    "sgdMomentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9), None),
    "sgdNesterovDecay": (torch.optim.SGD, dict(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.05), None),
    "adam": (torch.optim.Adam, dict(lr=0.05, betas=(0.9, 0.99)), None),
    "adamDecay": (torch.optim.Adam, dict(lr=0.05, betas=(0.8, 0.999), weight_decay=0.1), None),
    "adamW": (torch.optim.AdamW, dict(lr=0.05, betas=(0.9, 0.999), weight_decay=0.2), None),
    "adamWithoutMomentum": (torch.optim.Adam, dict(lr=0.02, betas=(0.0, 0.99)), None),
    "adamWClipped": (torch.optim.AdamW, dict(lr=0.05, betas=(0.9, 0.95), weight_decay=0.1, eps=1e-6), 0.1),
    "sgdClipped": (torch.optim.SGD, dict(lr=0.5, momentum=0.9), 0.05),
    "muon": (torch.optim.Muon, MUON, None),
    "muonPlain": (torch.optim.Muon, {**MUON, "nesterov": False, "momentum": 0.8, "weight_decay": 0.0, "adjust_lr_fn": "original"}, None),
    "muonClipped": (torch.optim.Muon, MUON, 0.05),
}


def run(x, y, weight, bias, make, settings, max_norm):
    parameters = [torch.nn.Parameter(weight.clone()), torch.nn.Parameter(bias.clone())]
    optimisers = [make(parameters, **settings)] if make is not torch.optim.Muon else [
        make(parameters[:1], **settings),
        torch.optim.AdamW(parameters[1:], lr=settings["lr"], weight_decay=settings["weight_decay"]),
    ]
    losses, norms = [], []
    for _ in range(20):
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss = ((torch.tanh(x @ parameters[0].T + parameters[1]) - y) ** 2).mean()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, float("inf") if max_norm is None else max_norm))
        for optimiser in optimisers:
            optimiser.step()
        losses.append(loss.detach())
    betas = settings.get("betas", (0.9, 0.999) if make is torch.optim.Muon else (0, 0))
    return case(
        kind=make.__name__, learningRate=settings["lr"], momentum=settings.get("momentum", 0), nesterov=settings.get("nesterov", False),
        beta1=betas[0], beta2=betas[1], epsilon=settings.get("eps", 1e-8), weightDecay=settings.get("weight_decay", 0), maxNorm=max_norm,
        rate="adamW" if settings.get("adjust_lr_fn") == "match_rms_adamw" else "original",
        losses=torch.stack(losses), norms=torch.stack(norms), weight=parameters[0], bias=parameters[1],
    )


def main():
    start(20260107)
    x, y, weight, bias = normal(16, 5), normal(16, 3, scale=0.7), normal(3, 5, scale=0.5), normal(3, scale=0.1)
    cases = {name: run(x, y, weight, bias, *how) for name, how in CASES.items()}
    write(sys.argv[1], {"inputs": case(x=x, y=y, weight=weight, bias=bias), "cases": cases})


main()
