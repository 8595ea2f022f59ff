"""Goldens of transcoders, crosscoders, AbsTopK, matching pursuit and JumpReLU with a target L0 or a frequency penalty: steps in PyTorch with autograd, in f64.

    python oracles/sae/architectures_more.py [OUT]

OUT defaults to packages/sae/src/__fixtures__. Writes architectures-more.json: for each stream its scales and variance, for each of its cases the
configuration, the start, all gradients of the step half-way, and the losses of 200 steps. The streams' rows are made by `rows`, which
packages/sae/src/testing/golden-rows.ts repeats. Seed 0; versions as in versions.txt. Needs torch.
"""

import json
import sys
from pathlib import Path

import torch

from architectures import batch_top_k, train
from make import JumpReLU, Step, plain, top_k, total_variance

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__"
F, B, STEPS, FEATURES = 12, 16, 200, 10


def uniforms(seed):
    """Park and Miller's generator, whose products fit f64: the same numbers in every language."""
    state = seed
    while True:
        state = state * 48271 % 2147483647
        yield state / 2147483647


def rows(seed, width, gain):
    """Planted rows in thousandths: features fire with p = 0.2; columns from `gain[0]` on are `gain[1]` times as large."""
    draw = uniforms(seed)
    directions = [[2 * next(draw) - 1 for _ in range(width)] for _ in range(FEATURES)]
    out = []
    for _ in range(STEPS * B):
        row = [0.3] * width
        for direction in directions:
            if next(draw) >= 0.2:
                continue
            magnitude = 0.5 + next(draw)
            row = [value + magnitude * part for value, part in zip(row, direction)]
        out.append([int(1000 * value * (gain[1] if column >= gain[0] else 1)) / 1000 for column, value in enumerate(row)])
    return out


def abs_top_k(pre, k, allowed=None):
    size = pre.abs() if allowed is None else pre.abs().masked_fill(~allowed, -1)
    indices = size.topk(k, dim=-1).indices
    return torch.zeros_like(pre).scatter(-1, indices, pre.gather(-1, indices))


def pursue(x, dictionary, c):
    """Matching pursuit as its papers state it, one token after another."""
    latents, left = [], []
    for row in x:
        acts, residual = {}, row
        for _ in range(c["maxIterations"] or len(row)):
            products = (dictionary @ residual).relu()
            best = int(products.argmax())
            value = products[best]
            again = best in acts or value <= 0
            if value > 0:
                acts[best] = acts.get(best, 0) + value
            residual = residual - value * dictionary[best]
            if (c["stopOnDuplicateSupport"] and again) or (c["residualThreshold"] > 0 and residual.norm() < c["residualThreshold"]):
                break
        latents.append([float(torch.as_tensor(acts.get(i, 0)).detach()) for i in range(len(dictionary))])
        left.append(residual)
    return torch.tensor(latents, dtype=torch.float64), torch.stack(left)


def auxiliary(c, p, pre, dead, residual, select=top_k):
    if not dead.any():
        return 0
    k = min(c["auxiliaryK"] or residual.shape[1] // 2, int(dead.sum()))
    residual = residual.detach()
    written = select(pre, k, dead) @ p["decoder"]
    return c["auxiliaryWeight"] * (written - residual).pow(2).sum(-1).mean() / total_variance(residual)


def follow(c, memory, step, smallest):
    before = memory.get("threshold")
    started = before is not None and step > c["thresholdStart"]
    return {"threshold": before + c["thresholdRate"] * (smallest - before) if started else smallest}


def site_norms(decoder, c):
    return sum(part.norm(dim=1) for part in decoder.split([s["width"] for s in c["sites"]], dim=1))


def loss_of(p, rows, c, sparsity, variance, dead, memory, step):
    kind, transcoder = c["architecture"], c["transcoder"]
    x = rows[:, : rows.shape[1] - transcoder["dOut"]] if transcoder else rows
    y = rows[:, x.shape[1] :] if transcoder else rows
    squared = lambda out: (y - out).pow(2).sum(-1).mean()
    skip = x @ p["skip"].T if "skip" in p else 0
    decode = lambda f: f @ p["decoder"] + p["decoder_bias"] + skip
    if kind == "matching_pursuit":
        f, residual = pursue(x - p["decoder_bias"], p["decoder"], c)
        return residual.pow(2).sum(-1).mean(), f, memory
    crosscoder = "sites" in c
    inner = x if transcoder or crosscoder else x - p["decoder_bias"]
    if kind == "gated":
        hidden = inner @ p["encoder_rows"].T
        gate, magnitude = hidden + p["gate_bias"], hidden * p["magnitude_scale"].exp() + p["encoder_bias"]
        f = (gate > 0) * magnitude.relu()
        via_gate = gate.relu() @ p["decoder"].detach() + p["decoder_bias"].detach()
        return squared(decode(f)) + sparsity * gate.relu().sum(-1).mean() + squared(via_gate), f, memory
    pre = inner @ p["encoder_rows"].T + p["encoder_bias"]
    if kind == "standard":
        f = pre.relu()
        return squared(decode(f)) + sparsity * f.sum(-1).mean(), f, memory
    if kind == "crosscoder":
        f = pre.relu()
        return squared(decode(f)) + sparsity * (f * site_norms(p["decoder"], c)).sum(-1).mean(), f, memory
    if kind == "jumprelu":
        theta = p["log_threshold"].exp() if "log_threshold" in p else p["threshold"]
        f, l0 = JumpReLU.apply(pre, theta, c["bandwidth"]), Step.apply(pre, theta, c["bandwidth"]).sum(-1)
        target = c["targetL0"]
        penalty = {
            "l0": lambda: l0.mean(),
            "quadratic": lambda: (2 / target * (l0 - target) ** 2).mean(),
            "relative": lambda: (l0.mean() / target - 1) ** 2,
        }[c["penalty"]]()
        if c["frequencyScale"] is not None:
            # The pseudo-derivative of H, as for l; summed over latents, of their mean over the batch.
            share = Step.apply(pre, theta, c["bandwidth"]).mean(0)
            penalty = penalty + (share.pow(2) / c["frequencyScale"]).sum()
        return squared(decode(f)) + sparsity * penalty, f, memory
    select = abs_top_k if kind == "abstopk" else top_k
    if kind in ("topk", "abstopk"):
        f = select(pre, c["k"])
    elif crosscoder:
        norms = site_norms(p["decoder"], c).detach()
        chosen = batch_top_k(pre * norms, c["k"])
        f = torch.where(chosen > 0, pre, 0.0)
        memory = follow(c, memory, step, chosen[chosen > 0].min().item())
    else:
        f = batch_top_k(pre, c["k"])
        memory = follow(c, memory, step, f[f > 0].min().item())
    out = decode(f)
    return squared(out) / variance + auxiliary(c, p, pre, dead, y - out, select), f, memory


def short(value):
    """Ten digits of every number: more than f32 has, and half of the file."""
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items()}
    if isinstance(value, list):
        return [short(v) for v in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def streams():
    common = {"schemaVersion": 1, "recipe": "custom", "dSae": F, "batchSize": B, "steps": STEPS, "learningRate": 2e-3, "learningRateWarmup": 20,
              "learningRateDecay": 0.25, "decoderBias": "zero", "normalisationTokens": STEPS * B, "evaluateEvery": 1, "checkpointEvery": 1000,
              "blockRows": 5, "seed": 0, "deadAfterTokens": 64, "gradientClip": None, "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
              "transcoder": None}
    penalty = {**common, "sparsity": 0.05, "sparsityWarmup": 30}
    top = {**common, "auxiliaryWeight": 1 / 32, "auxiliaryK": 2}
    batch = {**top, "k": 2.3, "thresholdRate": 0.01, "thresholdStart": 5}
    jump = {**penalty, "architecture": "jumprelu", "bandwidth": 0.3, "initialThreshold": 0.2, "thresholdForm": "raw", "penalty": "l0", "targetL0": None,
            "frequencyScale": None}
    from_input = {"dOut": 4, "skip": False, "targetScale": "input"}
    with_skip = {"dOut": 4, "skip": True, "targetScale": "target"}
    sites = {"sites": [{"name": "early", "width": 4}, {"name": "late", "width": 3}], "initialDecoderNorm": 0.4}
    return {
        "one": (6, [6], (6, 1), {
            "abstopk": {**top, "architecture": "abstopk", "k": 2},
            "matching_pursuit": {**common, "architecture": "matching_pursuit", "residualThreshold": 0.2, "maxIterations": 4, "stopOnDuplicateSupport": True},
            "jumprelu-quadratic": {**jump, "penalty": "quadratic", "targetL0": 2, "sparsity": 0.02},
            "jumprelu-relative": {**jump, "penalty": "relative", "targetL0": 2, "sparsity": 0.3, "thresholdForm": "log"},
        }),
        "transcoder": (10, [6, 4], (6, 3), {
            "standard-skip": {**penalty, "architecture": "standard", "decoderNorm": "unit", "initialDecoderNorm": None, "transcoder": with_skip},
            "gated": {**penalty, "architecture": "gated", "transcoder": from_input},
            "jumprelu": {**jump, "transcoder": from_input},
            "jumprelu-skip": {**jump, "thresholdForm": "log", "transcoder": with_skip},
            "topk-skip": {**top, "architecture": "topk", "k": 2, "transcoder": with_skip},
            "batchtopk": {**batch, "architecture": "batchtopk", "transcoder": from_input},
        }),
        "crosscoder": (7, [4, 3], (4, 5), {
            "crosscoder": {**penalty, "architecture": "crosscoder", **sites},
            "batchtopk_crosscoder": {**batch, "architecture": "batchtopk_crosscoder", **sites},
        }),
        # Last, so that the random starts before it stay what they were.
        "frequency": (6, [6], (6, 1), {
            "jumprelu": {**jump, "frequencyScale": 0.1, "sparsity": 0.02},
            "jumprelu-quadratic": {**jump, "penalty": "quadratic", "targetL0": 2, "sparsity": 0.02, "frequencyScale": 0.2, "thresholdForm": "log"},
            "jumprelu-relative": {**jump, "penalty": "relative", "targetL0": 2, "sparsity": 0.1, "frequencyScale": 0.05},
        }),
    }


def start_of(config, width, groups):
    d_out = config["transcoder"]["dOut"] if config["transcoder"] else width
    d_in = width - d_out if config["transcoder"] else width
    drawn = lambda n, d: (lambda t: (t / t.norm(dim=1, keepdim=True)))(torch.randn(n, d, dtype=torch.float64))
    kind = config["architecture"]
    decoder = drawn(F, d_out)
    if "sites" in config:
        decoder = torch.cat([drawn(F, w) for w in groups], 1) * config["initialDecoderNorm"]
    encoder = drawn(F, d_in) if config["transcoder"] else decoder
    zeros = lambda n: torch.zeros(n, dtype=torch.float64)
    bias = zeros(F)
    if "k" in config:
        # Some latents that hardly ever win, so that they die and AuxK has work.
        bias = torch.where(torch.arange(F) % 4 == 1, -1.5, 0.0).double()
    if kind == "abstopk":
        # By distance from 0, a large bias would win.
        bias, encoder = zeros(F), encoder * torch.where(torch.arange(F) % 4 == 1, 0.05, 1.0)[:, None]
    f32 = lambda t: t.float().double()
    start = {"decoder": f32(decoder), "decoder_bias": zeros(d_out)}
    if kind != "matching_pursuit":
        start = {"encoder_rows": f32(encoder), "decoder": f32(decoder), "encoder_bias": bias, "decoder_bias": zeros(d_out)}
    if kind == "gated":
        start |= {"gate_bias": zeros(F) + 0.0625, "magnitude_scale": zeros(F) - 0.125}
    if kind == "jumprelu":
        theta = zeros(F) + config["initialThreshold"]
        start |= {"threshold": f32(theta)} if config["thresholdForm"] == "raw" else {"log_threshold": f32(theta.log())}
    if config["transcoder"] and config["transcoder"]["skip"]:
        # Not at 0, so that its share of every gradient can be told.
        start |= {"skip": f32(torch.randn(d_out, d_in, dtype=torch.float64) * 0.1)}
    return start


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = {"streams": {}}
    for seed, (stream, (width, groups, gain, cases)) in enumerate(streams().items(), start=1):
        raw = torch.tensor(rows(seed, width, gain), dtype=torch.float32).double()
        parts = raw.split(groups, 1)
        own = [part.pow(2).sum(-1).mean().sqrt().item() for part in parts]
        written = {"dIn": width, "seed": seed, "gain": list(gain), "cases": {}}
        for name, config in cases.items():
            shared = config["transcoder"] is not None and config["transcoder"]["targetScale"] == "input"
            scales = [own[0]] * len(own) if shared else own
            x = torch.cat([part / scale for part, scale in zip(parts, scales)], 1)
            variance = total_variance(x[:, groups[0] :] if config["transcoder"] else x).item()
            start = start_of(config, width, groups)
            case = {"config": config, "scales": scales, "variance": variance, "start": plain(start),
                    **train(config, start, list(x.split(B)), variance, loss_of)}
            written["cases"][name] = short(case)
            print(stream, name, case["losses"][::40], max(case["deadCounts"]), sum(case["gradients"]["dead"]))
        result["streams"][stream] = written
    for stream, name in (("one", "abstopk"), ("transcoder", "topk-skip"), ("transcoder", "batchtopk"), ("crosscoder", "batchtopk_crosscoder")):
        assert any(result["streams"][stream]["cases"][name]["gradients"]["dead"]), name
    (OUT / "architectures-more.json").write_text(json.dumps(result, separators=(",", ":")))


if __name__ == "__main__":
    main()
