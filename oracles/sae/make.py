"""Goldens for @latentkit/sae: training steps from PyTorch, checkpoints and encodings from SAELens.

    python oracles/sae/make.py [OUT]

OUT defaults to packages/sae/src/__fixtures__. Deterministic on one machine; needs torch, safetensors and sae-lens.
"""

import json
import math
import sys
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__"
D, F, B, STEPS = 6, 12, 16, 20


class JumpReLU(torch.autograd.Function):
    """2407.14435, section 3: no straight-through term to the input, a rectangle kernel to the threshold."""

    @staticmethod
    def forward(ctx, pre, theta, eps):
        ctx.save_for_backward(pre, theta)
        ctx.eps = eps
        return pre * (pre > theta)

    @staticmethod
    def backward(ctx, up):
        pre, theta = ctx.saved_tensors
        window = (((pre - theta) / ctx.eps).abs() < 0.5).to(pre)
        return (pre > theta) * up, (-(theta / ctx.eps) * window * up).sum(0), None


class Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, pre, theta, eps):
        ctx.save_for_backward(pre, theta)
        ctx.eps = eps
        return (pre > theta).to(pre)

    @staticmethod
    def backward(ctx, up):
        pre, theta = ctx.saved_tensors
        window = (((pre - theta) / ctx.eps).abs() < 0.5).to(pre)
        return None, (-(1 / ctx.eps) * window * up).sum(0), None


def total_variance(x):
    return (x - x.mean(0)).pow(2).sum(-1).mean()


def top_k(pre, k, allowed=None):
    masked = pre if allowed is None else pre.masked_fill(~allowed, -math.inf)
    values, indices = masked.topk(k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, indices, values.relu())


def loss_of(p, x, config, sparsity, variance, dead):
    pre = (x - p["decoder_bias"]) @ p["encoder_rows"].T + p["encoder_bias"]
    if config["architecture"] == "jumprelu":
        theta = p["log_threshold"].exp() if "log_threshold" in p else p["threshold"]
        f = JumpReLU.apply(pre, theta, config["bandwidth"])
        out = f @ p["decoder"] + p["decoder_bias"]
        l0 = Step.apply(pre, theta, config["bandwidth"]).sum(-1)
        return ((x - out).pow(2).sum(-1) + sparsity * l0).mean(), (f > 0).sum(0)
    f = top_k(pre, config["k"])
    out = f @ p["decoder"] + p["decoder_bias"]
    loss = (x - out).pow(2).sum(-1).mean() / variance
    if dead.any():
        k = min(config["auxiliaryK"] or D // 2, int(dead.sum()))
        residual = (x - out).detach()
        aux = top_k(pre, k, dead) @ p["decoder"]
        loss = loss + config["auxiliaryWeight"] * (aux - residual).pow(2).sum(-1).mean() / total_variance(residual)
    return loss, (f > 0).sum(0)


def learning_rate(c, step):
    warm, n = c["learningRateWarmup"], c["steps"]
    factor = 0.1 + 0.9 * 0.5 * (1 - math.cos(math.pi * step / warm)) if step < warm else 1.0
    decay = c["learningRateDecay"] * n
    return c["learningRate"] * factor * min(1.0, (n - step) / decay if decay > 0 else 1.0)


def sparsity_at(c, step):
    if "sparsity" not in c:
        return 0.0
    return c["sparsity"] * min(1.0, step / c["sparsityWarmup"] if c["sparsityWarmup"] > 0 else 1.0)


def train(config, start, batches, variance):
    """The recipe of Gemma Scope 3.2 (TopK: the same projection and renormalisation), Adam written out, all in f64."""
    p = {k: v.clone().requires_grad_() for k, v in start.items()}
    first = {k: torch.zeros_like(v) for k, v in start.items()}
    second = {k: torch.zeros_like(v) for k, v in start.items()}
    silent = torch.zeros(F, dtype=torch.long)
    a = config["adam"]
    losses, gradients, dead_counts = [], None, []
    for step, x in enumerate(batches):
        dead = silent >= config["deadAfterTokens"]
        dead_counts.append(int(dead.sum()))
        loss, fired = loss_of(p, x, config, sparsity_at(config, step), variance, dead)
        g = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
        losses.append(loss.item())
        if step == len(batches) // 2:
            gradients = {"step": step, "dead": dead.int().tolist(), "sparsity": sparsity_at(config, step), "loss": loss.item(),
                         "parameters": plain(p), "values": plain(g), "x": x.tolist()}
        with torch.no_grad():
            unit = p["decoder"] / p["decoder"].norm(dim=1, keepdim=True)
            g["decoder"] = g["decoder"] - (g["decoder"] * unit).sum(1, keepdim=True) * unit
            for name, value in p.items():
                first[name] = a["beta1"] * first[name] + (1 - a["beta1"]) * g[name]
                second[name] = a["beta2"] * second[name] + (1 - a["beta2"]) * g[name] ** 2
                m = first[name] / (1 - a["beta1"] ** (step + 1))
                v = second[name] / (1 - a["beta2"] ** (step + 1))
                value -= learning_rate(config, step) * m / (v.sqrt() + a["epsilon"])
            p["decoder"] /= p["decoder"].norm(dim=1, keepdim=True)
            if "threshold" in p:
                p["threshold"].clamp_(min=config["bandwidth"] / 2)
            silent = torch.where(fired > 0, torch.zeros_like(silent), silent + len(x))
    return {"losses": losses, "deadCounts": dead_counts, "parameters": plain(p), "second": plain(second), "gradients": gradients}


def plain(tensors):
    return {k: v.detach().flatten().tolist() for k, v in tensors.items()}


def make_steps():
    torch.manual_seed(0)
    f32 = lambda t: t.float().double()
    raw = f32(torch.randn(STEPS * B, D, dtype=torch.float64) @ torch.randn(D, D, dtype=torch.float64) * 2 + torch.randn(D, dtype=torch.float64))
    scale = raw.pow(2).sum(-1).mean().sqrt().item()
    x = raw / scale
    variance = total_variance(x).item()
    decoder = torch.randn(F, D, dtype=torch.float64)
    decoder = f32(decoder / decoder.norm(dim=1, keepdim=True))
    common = {"schemaVersion": 1, "recipe": "custom", "dSae": F, "batchSize": B, "steps": STEPS, "learningRate": 3e-3, "learningRateWarmup": 5,
              "learningRateDecay": 0.25, "decoderBias": "zero", "normalisationTokens": STEPS * B, "evaluateEvery": 1, "checkpointEvery": 100,
              "blockRows": 5, "seed": 0}
    beta0 = {"beta1": 0, "beta2": 0.999, "epsilon": 1e-8}
    jump = {**common, "architecture": "jumprelu", "adam": beta0, "deadAfterTokens": 1000, "sparsity": 0.05, "sparsityWarmup": 8, "bandwidth": 0.1, "initialThreshold": 0.1}
    cases = {
        "topk": {**common, "architecture": "topk", "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 6.25e-10}, "deadAfterTokens": 32, "k": 2, "auxiliaryWeight": 1 / 32, "auxiliaryK": 2},
        "jumprelu-raw": {**jump, "thresholdForm": "raw"},
        "jumprelu-log": {**jump, "thresholdForm": "log"},
    }
    result = {"dIn": D, "scale": scale, "variance": variance, "x": raw.flatten().tolist(), "decoder": decoder.flatten().tolist(), "cases": {}}
    for name, config in cases.items():
        start = {"encoder_rows": decoder, "decoder": decoder, "encoder_bias": torch.zeros(F, dtype=torch.float64), "decoder_bias": torch.zeros(D, dtype=torch.float64)}
        if name == "topk":
            # Some latents that hardly ever win, so that they die and AuxK has work.
            start["encoder_bias"] = f32(torch.where(torch.arange(F) % 4 == 1, -0.9, 0.0).double())
        if config["architecture"] == "jumprelu":
            theta = torch.full((F,), config["initialThreshold"], dtype=torch.float64)
            start["threshold" if config["thresholdForm"] == "raw" else "log_threshold"] = f32(theta if config["thresholdForm"] == "raw" else theta.log())
        result["cases"][name] = {"config": config, "start": plain(start), **train(config, start, list(x.split(B)), variance)}
    assert max(result["cases"]["topk"]["deadCounts"]) > 0
    (OUT / "steps.json").write_text(json.dumps(result))


def make_saelens():
    from sae_lens import SAE, GatedSAE, GatedSAEConfig, JumpReLUSAE, JumpReLUSAEConfig, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    d, f, n = 8, 20, 9
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, d, generator=generator)
    meta = lambda: SAEMetadata(model_name="example/model", hook_name="blocks.3.hook_mlp_out", context_size=64, prepend_bos=True)
    makers = {
        "topk": lambda: TopKSAE(TopKSAEConfig(d_in=d, d_sae=f, k=4, apply_b_dec_to_input=True, metadata=meta())),
        "topk-rescaled": lambda: TopKSAE(TopKSAEConfig(d_in=d, d_sae=f, k=4, apply_b_dec_to_input=False, rescale_acts_by_decoder_norm=True, metadata=meta())),
        "jumprelu": lambda: JumpReLUSAE(JumpReLUSAEConfig(d_in=d, d_sae=f, apply_b_dec_to_input=False, metadata=meta())),
        "standard": lambda: StandardSAE(StandardSAEConfig(d_in=d, d_sae=f, apply_b_dec_to_input=True, metadata=meta())),
        "gated": lambda: GatedSAE(GatedSAEConfig(d_in=d, d_sae=f, apply_b_dec_to_input=True, metadata=meta())),
    }
    golden = {"x": x}

    def record(name, sae):
        acts = sae.encode(x)
        golden[f"{name}.features"] = acts.detach().clone()
        golden[f"{name}.reconstruction"] = sae.decode(acts).detach().clone()

    for name, make in makers.items():
        sae = make()
        with torch.no_grad():
            for _, parameter in sorted(sae.named_parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.5 if parameter.ndim == 2 else 0.2))
            if name == "jumprelu":
                sae.threshold.copy_(torch.rand(f, generator=generator) * 0.6 - 0.1)  # some below 0: ReLU comes first
        sae.save_model(OUT / "saelens" / name)
        record(name, SAE.load_from_disk(OUT / "saelens" / name))

    # As before 6.0: metadata beside the other fields, TopK as an activation function.
    legacy = OUT / "saelens" / "legacy-topk"
    legacy.mkdir(parents=True, exist_ok=True)
    (legacy / "sae_weights.safetensors").write_bytes((OUT / "saelens/topk/sae_weights.safetensors").read_bytes())
    (legacy / "cfg.json").write_text(json.dumps({
        "architecture": "standard", "d_in": d, "d_sae": f, "dtype": "float32", "device": "cpu", "model_name": "example/model", "hook_point": "blocks.3.attn.hook_z",
        "hook_point_head_index": None, "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4}, "normalize_activations": False, "context_size": 64}))
    old = SAE.load_from_disk(legacy)
    assert old.cfg.architecture() == "topk" and old.cfg.reshape_activations == "hook_z"
    old.turn_off_forward_pass_hook_z_reshaping()
    record("legacy-topk", old)

    # expected_average_only_in, not folded: the factor is in a file of its own, and SAELens folds it by this function.
    scaled = OUT / "saelens" / "scaled"
    sae = SAE.load_from_disk(OUT / "saelens/jumprelu")
    sae.cfg.normalize_activations = "expected_average_only_in"
    sae.save_model(scaled)
    (scaled / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 2.5}))
    sae.fold_activation_norm_scaling_factor(2.5)
    record("scaled", sae)
    save_file({k: v.contiguous() for k, v in golden.items()}, OUT / "saelens" / "golden.safetensors")


if __name__ == "__main__":
    import sae_lens

    OUT.mkdir(parents=True, exist_ok=True)
    make_steps()
    make_saelens()
    (Path(__file__).parent / "versions.txt").write_text(
        f"python {sys.version.split()[0]}\ntorch {torch.__version__}\nsafetensors {safetensors.__version__}\nsae-lens {sae_lens.__version__}\n")
