"""Goldens of the architectures beside TopK and JumpReLU: their training step written in PyTorch with autograd, in f64.

    python oracles/sae/architectures.py [OUT]

OUT defaults to packages/sae/src/__fixtures__. Writes architectures.json: for each case its configuration, its start, all gradients of the
step half-way, and the losses of 200 steps on planted toy data. Seed 0; versions as in versions.txt. Needs torch.
"""

import json
import sys
from pathlib import Path

import torch

from make import learning_rate, plain, sparsity_at, top_k, total_variance

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__"
D, F, B, STEPS, FEATURES = 6, 12, 16, 200, 10


class JumpReLU(torch.autograd.Function):
    """make.py's, whose pseudo-derivative may also reach the pre-activation."""

    @staticmethod
    def forward(ctx, pre, theta, eps, to_input):
        ctx.save_for_backward(pre, theta)
        ctx.eps, ctx.to_input = eps, to_input
        return pre * (pre > theta)

    @staticmethod
    def backward(ctx, up):
        pre, theta = ctx.saved_tensors
        jump = (theta / ctx.eps) * (((pre - theta) / ctx.eps).abs() < 0.5) * up
        return (pre > theta) * up + (jump if ctx.to_input else 0), -jump.sum(0), None, None


def batch_top_k(pre, k):
    flat = pre.flatten()
    values, indices = flat.topk(int(k * len(pre)))
    return torch.zeros_like(flat).scatter(0, indices, values.relu()).reshape(pre.shape)


def anneal_steps(c):
    n = c["anneals"]
    return [c["annealStart"] + int((i / (n - 1) if n > 1 else 0) * (c["annealEnd"] - c["annealStart"])) for i in range(n)]


def p_after(c, changes):
    return 1 - (1 - c["finalP"]) * min(1, changes / c["anneals"])


def loss_of(p, x, c, sparsity, variance, dead, memory, step):
    """The loss of one batch, how often each latent fired, and what the next step shall know."""
    kind, inner = c["architecture"], x - p["decoder_bias"]
    squared = lambda out: (x - out).pow(2).sum(-1).mean()
    decode = lambda f: f @ p["decoder"] + p["decoder_bias"]
    if kind == "gated":
        hidden = inner @ p["encoder_rows"].T
        gate, magnitude = hidden + p["gate_bias"], hidden * p["magnitude_scale"].exp() + p["encoder_bias"]
        f = (gate > 0) * magnitude.relu()
        via_gate = gate.relu() @ p["decoder"].detach() + p["decoder_bias"].detach()
        return squared(decode(f)) + sparsity * gate.relu().sum(-1).mean() + squared(via_gate), f, memory
    pre = inner @ p["encoder_rows"].T + p["encoder_bias"]
    if kind == "jumprelu_tanh":
        theta = p["log_threshold"].exp() if "log_threshold" in p else p["threshold"]
        f, norms = JumpReLU.apply(pre, theta, c["bandwidth"], c["gradientToInput"]), p["decoder"].norm(dim=1)
        reached = 1.0 if c["preActivationOn"] == "all" else dead.double()
        missing = ((theta - pre).relu() * reached * norms).sum(-1).mean()
        return squared(decode(f)) + sparsity * (c["tanhScale"] * f * norms).tanh().sum(-1).mean() + c["preActivationWeight"] * missing, f, memory
    if kind == "standard":
        f = pre.relu()
        weights = p["decoder"].norm(dim=1) if c["decoderNorm"] == "free" else 1
        return squared(decode(f)) + sparsity * (f * weights).sum(-1).mean(), f, memory
    if kind == "p_anneal":
        f = pre.relu()
        changes = sum(at < step for at in anneal_steps(c))
        penalty = lambda q: f.pow(q).sum(-1).mean()
        current, following = penalty(p_after(c, changes)), penalty(p_after(c, changes + 1))
        factor = memory.get("factor", 1.0)
        pairs = (memory.get("pairs", []) + [(current.item(), following.item())])[-c["averagedSteps"] :]
        loss = squared(decode(f)) + factor * sparsity * current
        if step in anneal_steps(c):
            memory = {"factor": factor * sum(a for a, _ in pairs) / sum(b for _, b in pairs), "pairs": []}
        else:
            memory = {"factor": factor, "pairs": pairs}
        return loss, f, memory
    f = batch_top_k(pre, c["k"])
    if kind == "batchtopk":
        loss = squared(decode(f)) / variance
    else:
        losses = [squared(f[:, :m] @ p["decoder"][:m] + p["decoder_bias"]) / variance for m in c["widths"]]
        loss = sum(losses) / (len(losses) if c["prefixLoss"] == "mean" else 1)
    if dead.any():
        k = min(c["auxiliaryK"] or D // 2, int(dead.sum()))
        residual = (x - decode(f)).detach()
        loss = loss + c["auxiliaryWeight"] * (top_k(pre, k, dead) @ p["decoder"] - residual).pow(2).sum(-1).mean() / total_variance(residual)
    smallest = f[f > 0].min().item()
    before = memory.get("threshold")
    started = before is not None and step > c["thresholdStart"]
    return loss, f, {"threshold": before + c["thresholdRate"] * (smallest - before) if started else smallest}


def train(c, start, batches, variance, loss_of=loss_of):
    p = {k: v.clone().requires_grad_() for k, v in start.items()}
    first = {k: torch.zeros_like(v) for k, v in start.items()}
    second = {k: torch.zeros_like(v) for k, v in start.items()}
    silent, memory = torch.zeros(F, dtype=torch.long), {}
    unit = c.get("decoderNorm") != "free" and c["architecture"] not in ("jumprelu_tanh", "crosscoder", "batchtopk_crosscoder")
    a, losses, dead_counts, gradients = c["adam"], [], [], None
    for step, x in enumerate(batches):
        dead = silent >= c["deadAfterTokens"]
        dead_counts.append(int(dead.sum()))
        before, sparsity = memory, sparsity_at(c, step)
        loss, f, memory = loss_of(p, x, c, sparsity, variance, dead, memory, step)
        g = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
        losses.append(loss.item())
        if step == len(batches) // 2:
            known = {"factor": [before["factor"]]} if "factor" in before else {"threshold": [before["threshold"]]} if "threshold" in before else {}
            gradients = {"step": step, "dead": dead.int().tolist(), "sparsity": sparsity, "loss": loss.item(), "memory": known,
                         "parameters": plain(p), "values": plain(g), "x": x.tolist()}
        with torch.no_grad():
            if unit:
                rows = p["decoder"] / p["decoder"].norm(dim=1, keepdim=True)
                g["decoder"] = g["decoder"] - (g["decoder"] * rows).sum(1, keepdim=True) * rows
            if c["gradientClip"] is not None:
                norm = torch.cat([v.flatten() for v in g.values()]).norm()
                g = {k: v * min(1.0, c["gradientClip"] / (norm.item() + 1e-6)) for k, v in g.items()}
            for name, value in p.items():
                first[name] = a["beta1"] * first[name] + (1 - a["beta1"]) * g[name]
                second[name] = a["beta2"] * second[name] + (1 - a["beta2"]) * g[name] ** 2
                m, v = first[name] / (1 - a["beta1"] ** (step + 1)), second[name] / (1 - a["beta2"] ** (step + 1))
                value -= learning_rate(c, step) * m / (v.sqrt() + a["epsilon"])
            if unit:
                p["decoder"] /= p["decoder"].norm(dim=1, keepdim=True)
            if "threshold" in p:
                p["threshold"].clamp_(min=c["bandwidth"] / 2 if c["architecture"] == "jumprelu" else 0)
            silent = torch.where((f != 0).sum(0) > 0, torch.zeros_like(silent), silent + len(x))
    memory.pop("pairs", None)
    return {"losses": losses, "deadCounts": dead_counts, "parameters": plain(p), "memory": {k: [v] for k, v in memory.items()}, "gradients": gradients}


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    directions = torch.randn(FEATURES, D, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    codes = (torch.rand(STEPS * B, FEATURES, dtype=torch.float64) < 0.2) * (1 + 0.25 * torch.randn(STEPS * B, FEATURES, dtype=torch.float64)).abs()
    # Three decimals keep the file small; f32, because that is what training reads.
    decimals = (((codes @ directions + 0.3) * 1000).round() / 1000).tolist()
    raw = torch.tensor(decimals, dtype=torch.float32).double()
    scale = raw.pow(2).sum(-1).mean().sqrt().item()
    x = raw / scale
    variance = total_variance(x).item()
    decoder = torch.randn(F, D, dtype=torch.float64)
    decoder = (decoder / decoder.norm(dim=1, keepdim=True)).float().double()
    common = {"schemaVersion": 1, "recipe": "custom", "dSae": F, "batchSize": B, "steps": STEPS, "learningRate": 2e-3, "learningRateWarmup": 20,
              "learningRateDecay": 0.25, "decoderBias": "zero", "normalisationTokens": STEPS * B, "evaluateEvery": 1, "checkpointEvery": 1000,
              "blockRows": 5, "seed": 0, "deadAfterTokens": 64, "gradientClip": None, "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}}
    penalty = {**common, "sparsity": 0.05, "sparsityWarmup": 30}
    batch = {**common, "k": 2.3, "auxiliaryWeight": 1 / 32, "auxiliaryK": 2, "thresholdRate": 0.01, "thresholdStart": 5}
    tanh = {**penalty, "architecture": "jumprelu_tanh", "tanhScale": 4, "bandwidth": 0.3, "initialThreshold": 0.1, "initialDecoderNorm": 0.5}
    cases = {
        "jumprelu-tanh": {**tanh, "thresholdForm": "log", "gradientToInput": True, "preActivationWeight": 0.003, "preActivationOn": "all", "gradientClip": 1.5},
        "jumprelu-tanh-dead": {**tanh, "thresholdForm": "raw", "gradientToInput": False, "preActivationWeight": 0.05, "preActivationOn": "dead"},
        "standard-unit": {**penalty, "architecture": "standard", "decoderNorm": "unit", "initialDecoderNorm": None},
        "standard-free": {**penalty, "architecture": "standard", "decoderNorm": "free", "initialDecoderNorm": 0.5, "gradientClip": 0.2},
        "gated": {**penalty, "architecture": "gated", "adam": {"beta1": 0, "beta2": 0.999, "epsilon": 1e-8}},
        "p_anneal": {**penalty, "architecture": "p_anneal", "annealStart": 40, "annealEnd": 160, "anneals": 5, "finalP": 0.4, "averagedSteps": 10},
        "batchtopk": {**batch, "architecture": "batchtopk"},
        "matryoshka-mean": {**batch, "architecture": "matryoshka_batchtopk", "widths": [3, 6, F], "prefixLoss": "mean"},
        "matryoshka-sum": {**batch, "architecture": "matryoshka_batchtopk", "widths": [2, 5, 9, F], "prefixLoss": "sum", "auxiliaryWeight": 0},
    }
    result = {"dIn": D, "scale": scale, "variance": variance, "x": [v for row in decimals for v in row], "cases": {}}
    for name, config in cases.items():
        rows = (decoder * (config.get("initialDecoderNorm") or 1)).float().double()
        zeros = lambda n: torch.zeros(n, dtype=torch.float64)
        start = {"encoder_rows": rows, "decoder": rows, "encoder_bias": zeros(F), "decoder_bias": zeros(D)}
        if config["architecture"] == "jumprelu_tanh":
            theta = zeros(F) + config["initialThreshold"]
            start |= {"threshold": theta.float().double()} if config["thresholdForm"] == "raw" else {"log_threshold": theta.log().float().double()}
        if config["architecture"] == "gated":
            # Not at 0, so that exp(r_mag) and the two biases can be told apart from the first step on.
            start |= {"gate_bias": zeros(F) + 0.0625, "magnitude_scale": zeros(F) - 0.125}
        if "k" in config or config.get("preActivationOn") == "dead":
            # Some latents that hardly ever win, so that they die and AuxK has work.
            start["encoder_bias"] = torch.where(torch.arange(F) % 4 == 1, -1.5, 0.0).double()
        result["cases"][name] = {"config": config, "start": plain(start), **train(config, start, list(x.split(B)), variance)}
        print(name, result["cases"][name]["losses"][::40], max(result["cases"][name]["deadCounts"]), sum(result["cases"][name]["gradients"]["dead"]))
    for name in ("jumprelu-tanh-dead", "batchtopk", "matryoshka-mean"):
        assert any(result["cases"][name]["gradients"]["dead"]), name
    (OUT / "architectures.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
