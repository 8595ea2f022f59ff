"""Fifty training steps of a two-layer transformer in PyTorch: embedding, RMSNorm, rotary positions, grouped-query attention, SwiGLU,
tied or untied head, cross entropy, AdamW with warm-up, cosine and clipping.

    python oracles/tensor/training_curve.py packages/tensor/src/testing/goldens/training-curve.json
    npx oxfmt packages/tensor/src/testing/goldens

Writes the initial weights (f32), the batches, and the losses and gradient norms of each step, computed in f32 and in f64 from the same
weights. The sequences follow a random table of successors, so that there is something to learn. versions.txt is make.py's.
"""

import math
import sys

import torch
import torch.nn.functional as F
from pack import pack, start, write

SIZES = dict(vocabulary=61, width=32, heads=4, kvHeads=2, headWidth=8, hidden=80, layers=2, batch=4, length=17)
TRAINING = dict(steps=50, warmUp=10, learningRate=0.01, beta1=0.9, beta2=0.95, epsilon=1e-8, weightDecay=0.1, maxNorm=1.0, normEpsilon=1e-5, ropeBase=10000.0)


def initial(tied):
    s = SIZES
    width, heads, kv, wide = s["width"], s["heads"] * s["headWidth"], s["kvHeads"] * s["headWidth"], s["hidden"]
    draw = lambda *shape, scale: (scale * torch.randn(*shape)).float()  # noqa: E731
    weights = {"embedding": draw(s["vocabulary"], width, scale=0.3), "norm": 1 + draw(width, scale=0.1)}
    for layer in range(s["layers"]):
        shapes = {"query": (heads, width), "key": (kv, width), "value": (kv, width), "output": (width, heads), "gate": (wide, width), "up": (wide, width), "down": (width, wide)}
        for name, shape in shapes.items():
            weights[f"layers.{layer}.{name}"] = draw(*shape, scale=shape[1] ** -0.5)
        for name in ("attentionNorm", "mlpNorm"):
            weights[f"layers.{layer}.{name}"] = 1 + draw(width, scale=0.1)
    if not tied:
        weights["head"] = draw(s["vocabulary"], width, scale=width**-0.5)
    return weights


def rms(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + TRAINING["normEpsilon"]) * weight


def rotate(x, cos, sin):
    """x [batch, length, heads, headWidth]; pairs (i, i + half), as Hugging Face's rotate_half."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def loss_of(w, inputs, targets, dtype):
    s = SIZES
    half = s["headWidth"] // 2
    angles = torch.arange(inputs.shape[1])[:, None].double() * TRAINING["ropeBase"] ** (-torch.arange(half).double() / half)
    cos, sin = [table.to(dtype)[None, :, None, :] for table in (angles.cos(), angles.sin())]
    x = w["embedding"][inputs]
    for layer in range(s["layers"]):
        p = lambda name: w[f"layers.{layer}.{name}"]  # noqa: E731, B023
        h = rms(x, p("attentionNorm"))
        split = lambda t, heads: t.reshape(*t.shape[:2], heads, s["headWidth"])  # noqa: E731
        q, k, v = split(h @ p("query").T, s["heads"]), split(h @ p("key").T, s["kvHeads"]), split(h @ p("value").T, s["kvHeads"])
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        q, k, v = [t.transpose(1, 2) for t in (q, k, v)]
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=s["headWidth"] ** -0.5, enable_gqa=True)
        x = x + attended.transpose(1, 2).flatten(2) @ p("output").T
        h = rms(x, p("mlpNorm"))
        x = x + (F.silu(h @ p("gate").T) * (h @ p("up").T)) @ p("down").T
    logits = rms(x, w["norm"]) @ w.get("head", w["embedding"]).T
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def train(weights, tokens, dtype):
    t = TRAINING
    w = {name: torch.nn.Parameter(value.to(dtype, copy=True)) for name, value in weights.items()}
    decayed, others = [v for n, v in w.items() if "orm" not in n], [v for n, v in w.items() if "orm" in n]
    optimiser = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=t["weightDecay"]), dict(params=others, weight_decay=0)], lr=t["learningRate"], betas=(t["beta1"], t["beta2"]), eps=t["epsilon"]
    )
    warm, rest = t["warmUp"], t["steps"] - t["warmUp"]
    factor = lambda u: (u + 1) / warm if u < warm else (1 + math.cos(math.pi * (u - warm) / rest)) / 2  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    losses, norms = [], []
    for step in range(t["steps"]):
        optimiser.zero_grad()
        loss = loss_of(w, tokens[step, :, :-1], tokens[step, :, 1:], dtype)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(w.values(), t["maxNorm"]).item())
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return {"losses": losses, "norms": norms}


def data():
    """[steps, batch, length]: each token is followed by one of three, the first of them most of the time."""
    s = SIZES
    successors = torch.randint(s["vocabulary"], (s["vocabulary"], 3))
    tokens = torch.empty(TRAINING["steps"], s["batch"], s["length"], dtype=torch.int64)
    tokens[..., 0] = torch.randint(s["vocabulary"], tokens.shape[:2])
    for at in range(1, s["length"]):
        choice = torch.tensor([0, 0, 0, 1, 2])[torch.randint(5, tokens.shape[:2])]
        tokens[..., at] = successors[tokens[..., at - 1], choice]
    return tokens


def main():
    start(20260117)
    tokens = data()
    goldens = {"sizes": SIZES, "training": TRAINING, "tokens": pack(tokens), "cases": {}}
    for name in ("tied", "untied"):
        weights = initial(name == "tied")
        goldens["cases"][name] = {
            "weights": {key: pack(value) for key, value in weights.items()},
            "f32": train(weights, tokens, torch.float32), "f64": train(weights, tokens, torch.float64),
        }
        f32, f64 = goldens["cases"][name]["f32"]["losses"], goldens["cases"][name]["f64"]["losses"]
        worst = max(abs(a / b - 1) for a, b in zip(f32, f64))
        print(f"{name}: {f64[0]:.4f} to {f64[-1]:.4f}, f32 and f64 differ by at most {worst:.1e}")
    write(sys.argv[1], goldens)


main()
