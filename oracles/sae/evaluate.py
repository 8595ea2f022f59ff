"""Goldens for packages/sae/src/evaluate: SAELens's evals, SciPy's assignment, and figures in f64.

    python oracles/sae/evaluate.py [OUT]

OUT defaults to packages/sae/src/evaluate/__fixtures__. Seed 11. The model is packages/models/src/__fixtures__/tiny-tied, the same raw
weights in TransformerLens (checked against transformers' logits). Writes

  golden/cfg.json, sae_weights.safetensors   a JumpReLU SAE at blocks.1.hook_resid_post, as SAELens saves it
  golden.json      tokens [6, 16]; `saelens`: what sae_lens.evals.run_evals says of all of them; `masked`: the definitions in f64 with each
                   context's first token left out, mean ablation and uniformity included; `uniformity`: of every token but first and last
  assignment.json  scores and the total of scipy.optimize.linear_sum_assignment(maximize=True)

Needs torch, numpy, scipy, transformers, transformer-lens, sae-lens; the versions used are in evaluate-versions.txt.
"""

import importlib.util
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig
from sae_lens.evals import get_eval_everything_config, run_evals
from sae_lens.saes.sae import SAEMetadata
from sae_lens.training.activation_scaler import ActivationScaler
from scipy.optimize import linear_sum_assignment
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/evaluate/__fixtures__"
SITE, LAYER = "blocks.1.hook_resid_post", 1
D, F, CONTEXTS, LENGTH = 36, 48, 6, 16


def lens_of(model):
    spec = importlib.util.spec_from_file_location("analysis_make", ROOT / "oracles/analysis/make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lens(model)


class Store:
    """The parts of an ActivationsStore that run_evals asks."""

    store_batch_size_prompts = CONTEXTS
    context_size = LENGTH

    def __init__(self, tokens):
        self.tokens = tokens

    def get_batch_tokens(self, _size):
        return self.tokens

    def reset_input_dataset(self):
        pass


def make_sae(activations, generator):
    """Encoder and decoder rows near directions of the data, so that reconstructions are better than nothing."""
    flat = activations.reshape(-1, D)
    mean = flat.mean(0)
    rows = flat[torch.randperm(len(flat), generator=generator)[:F]] - mean
    rows = rows / rows.norm(dim=1, keepdim=True)
    noise = torch.randn(F, D, generator=generator) / D**0.5
    cfg = JumpReLUSAEConfig(
        d_in=D,
        d_sae=F,
        dtype="float32",
        device="cpu",
        apply_b_dec_to_input=True,
        normalize_activations="none",
        metadata=SAEMetadata(model_name="tiny-tied", hook_name=SITE, context_size=LENGTH, prepend_bos=False),
    )
    sae = JumpReLUSAE(cfg)
    scale = flat.std().item()
    with torch.no_grad():
        sae.W_enc.copy_((rows + 0.3 * noise).T)
        sae.W_dec.copy_(0.45 * rows)
        sae.b_dec.copy_(mean)
        sae.b_enc.zero_()
        sae.threshold.copy_(scale * (1.2 + 2.2 * torch.rand(F, generator=generator)))
    return sae


def logits_with(model, tokens, replace):
    """The model's logits with `replace(x)` behind block LAYER."""
    handle = model.model.layers[LAYER].register_forward_hook(
        lambda _module, _inputs, output: (replace(output[0]), *output[1:]) if isinstance(output, tuple) else replace(output)
    )
    try:
        return model(tokens).logits
    finally:
        handle.remove()


def losses_of(logits, tokens):
    return -torch.log_softmax(logits[:, :-1], -1).gather(2, tokens[:, 1:, None])[..., 0]


def kl_of(logits, changed):
    p, q = torch.log_softmax(logits, -1), torch.log_softmax(changed, -1)
    return (p.exp() * (p - q)).sum(-1)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(11)
    path = ROOT / "packages/models/src/__fixtures__/tiny-tied"
    model = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    hooked = lens_of(model)
    tokens = torch.randint(3, model.config.vocab_size, (CONTEXTS, LENGTH), generator=generator)
    with torch.no_grad():
        expected = model(tokens).logits
        logits, cache = hooked.run_with_cache(tokens, names_filter=[SITE])
        assert ((logits - expected).abs().max() / expected.std()).item() < 1e-5
    sae = make_sae(cache[SITE], generator)
    sae.save_model(OUT / "golden")
    (OUT / "golden/runner_cfg.json").unlink(missing_ok=True)
    config = get_eval_everything_config(batch_size_prompts=CONTEXTS, n_eval_reconstruction_batches=1)
    metrics, features = run_evals(sae, Store(tokens), hooked, ActivationScaler(), config, exclude_special_tokens=False)
    scalars = {key: value for group in metrics.values() for key, value in group.items()}

    model = model.double()
    enc, dec = sae.W_enc.double().detach(), sae.W_dec.double().detach()
    b_enc, b_dec, theta = sae.b_enc.double().detach(), sae.b_dec.double().detach(), sae.threshold.double().detach()

    def encode(x):
        pre = (x - b_dec) @ enc + b_enc
        return pre * (pre > theta)

    def reconstruct(x):
        return encode(x) @ dec + b_dec

    captured = {}

    def keep(x):
        captured["x"] = x
        return x

    with torch.no_grad():
        clean = logits_with(model, tokens, keep)
        x = captured["x"]
        kept = torch.zeros(CONTEXTS, LENGTH, dtype=torch.bool)
        kept[:, 1:] = True
        f, out = encode(x), reconstruct(x)
        flat, flat_out, flat_f = x[kept], out[kept], f[kept]
        mean = flat.mean(0)
        variance = (flat - mean).pow(2).sum(-1)
        error = (flat - flat_out).pow(2).sum(-1)
        norm, norm_out, product = flat.norm(dim=1), flat_out.norm(dim=1), (flat * flat_out).sum(-1)
        positions = torch.arange(LENGTH).expand(CONTEXTS, LENGTH)[kept]
        masked = {
            "l0": (flat_f > 0).sum(-1).double().mean().item(),
            "fvu": (error.sum() / variance.sum()).item(),
            "fvuLegacy": (error / variance).mean().item(),
            "mse": error.mean().item(),
            "cosine": (product / norm / norm_out).mean().item(),
            "l2Ratio": (norm_out / norm).mean().item(),
            "relativeReconstructionBias": (norm_out.pow(2).sum() / product.sum()).item(),
            "densities": (flat_f > 0).double().mean(0).tolist(),
            "byPosition": [
                (error[(positions >= low) & (positions < high)].mean() / variance.mean()).item()
                for low, high in [(1, 2), (2, 4), (4, 8), (8, 16)]
            ],
        }
        where = kept[..., None]
        changed = {
            "spliced": torch.where(where, out, x),
            "ablated": torch.where(where, torch.zeros_like(x), x),
            "mean": torch.where(where, mean.expand_as(x), x),
        }
        scored = kept[:, :-1]
        masked["cleanLoss"] = losses_of(clean, tokens)[scored].mean().item()
        for name, value in changed.items():
            after = logits_with(model, tokens, lambda _x, value=value: value)
            masked[f"{name}Loss"] = losses_of(after, tokens)[scored].mean().item()
            masked[f"{name}Kl"] = kl_of(clean, after)[kept].mean().item()

    # 2408.05147, appendix C.3, a token at a time: the gradient of its own prediction at its own position.
    uniformity = []
    for context in range(CONTEXTS):
        row = []
        for position in range(1, LENGTH - 1):
            leaf = x[context : context + 1].clone().requires_grad_(True)
            at = logits_with(model, tokens[context : context + 1], lambda _x, leaf=leaf: leaf)[0, position]
            (at[tokens[context, position + 1]] - at.mean()).backward()
            y = (f[context, position] * (dec @ leaf.grad[0, position])).abs().numpy()
            y = y[y > 0]
            p = y / y.sum()
            row.append(float(np.exp(-(p * np.log(p)).sum()) / len(y)) if len(y) else None)
        uniformity.append(row)

    (OUT / "golden.json").write_text(
        json.dumps(
            {
                "tokens": tokens.tolist(),
                "saelens": {**scalars, "feature_density": features["feature_density"]},
                "masked": masked,
                "uniformity": uniformity,
            }
        )
        + "\n"
    )
    rng = np.random.default_rng(11)
    cases = [(5, 5, "normal"), (7, 12, "normal"), (12, 7, "normal"), (24, 24, "normal"), (9, 9, "ties"), (1, 4, "normal")]
    assignments = []
    for rows, columns, kind in cases:
        scores = rng.standard_normal((rows, columns)) if kind == "normal" else rng.integers(0, 3, (rows, columns)).astype(float)
        scores = scores.round(6)
        found = linear_sum_assignment(scores, maximize=True)
        assignments.append({"rows": rows, "columns": columns, "scores": scores.ravel().tolist(), "total": float(scores[found].sum())})
    (OUT / "assignment.json").write_text(json.dumps(assignments) + "\n")
    names = ["torch", "numpy", "scipy", "transformers", "transformer-lens", "sae-lens"]
    lines = [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
    (Path(__file__).parent / "evaluate-versions.txt").write_text("\n".join(lines) + "\n")
    print({key: round(value, 4) for key, value in masked.items() if isinstance(value, float)})
    print(scalars)


main()
