"""The SAE recipe of sae-run.ts in PyTorch: the same activations, starting weights and batches; f32, dense, torch's own Adam arithmetic.

    python oracles/tiny/sae_run.py WORK [OUT.json]

WORK is the folder that sae-run.ts wrote. Prints and writes L0, FVU, dense and dead latents on the same held-out rows beside ours.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sae"))
from make import learning_rate, loss_of, sparsity_at, total_variance  # noqa: E402


def geometric_median(rows, steps=100, tolerance=1e-6):
    centre = rows.mean(0)
    for _ in range(steps):
        distance = (rows - centre).norm(dim=1).clamp(min=1e-12)
        after = (rows / distance[:, None]).sum(0) / (1 / distance).sum()
        moved = (after - centre).norm().item()
        centre = after
        if moved <= tolerance * distance.mean().item():
            break
    return centre


def run(work, ours):
    config, seed = ours["config"], ours["seed"]
    data = load_file(work / "activations.safetensors")
    start = load_file(work / f"start-{seed}.safetensors")
    d, b = data["train"].shape[1], config["batchSize"]
    order = start["order"].long().view(config["steps"], b)
    scale = ours["inputScale"]
    x = data["train"] / scale
    # As in the package: variance of the first rows that the stream presents.
    variance = total_variance(x[order.flatten()[: config["normalisationTokens"]]].double()).item()
    decoder = (6 / d) ** 0.5 * (2 * start["uniform"].double() - 1)
    decoder = (decoder / decoder.norm(dim=1, keepdim=True)).float()
    f = decoder.shape[0]
    p = {
        "encoder_rows": decoder.clone(),
        "decoder": decoder.clone(),
        "encoder_bias": torch.zeros(f),
        "decoder_bias": geometric_median(x[order[0]].double()).float(),
        "threshold": torch.full((f,), config["initialThreshold"]),
    }
    p = {k: v.requires_grad_() for k, v in p.items()}
    a = config["adam"]
    first = {k: torch.zeros_like(v) for k, v in p.items()}
    second = {k: torch.zeros_like(v) for k, v in p.items()}
    silent = torch.zeros(f, dtype=torch.long)
    for step in range(config["steps"]):
        loss, fired = loss_of(p, x[order[step]], config, sparsity_at(config, step), variance, None)
        g = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
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
            p["threshold"].clamp_(min=config["bandwidth"] / 2)
            silent = torch.where(fired > 0, torch.zeros_like(silent), silent + b)
    with torch.no_grad():
        h = data["held_out"] / scale
        pre = (h - p["decoder_bias"]) @ p["encoder_rows"].T + p["encoder_bias"]
        acts = pre * (pre > p["threshold"])
        error = h - (acts @ p["decoder"] + p["decoder_bias"])
        density = (acts > 0).double().mean(0)
        fvu = error.double().pow(2).sum(-1).mean() / total_variance(h.double())
    return {
        "seed": seed,
        "l0": density.sum().item(),
        "fvu": fvu.item(),
        "dense": int((density > 0.1).sum()),
        "dead": int((silent >= config["deadAfterTokens"]).sum()),
    }


if __name__ == "__main__":
    work = Path(sys.argv[1])
    rows = []
    for ours in json.loads((work / "ours.json").read_text()):
        last = ours["last"]
        rows.append({
            "latentkit": {"seed": ours["seed"], "l0": last["heldOutL0"], "fvu": last["heldOutFvu"], "dense": last["denseCount"], "dead": last["deadCount"]},
            "pytorch": run(work, ours),
        })
        print(json.dumps(rows[-1]), flush=True)
    result = {"site": "blocks.3.hook_resid_post", "torch": torch.__version__, "config": json.loads((work / "ours.json").read_text())[0]["config"], "runs": rows}
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(result, indent=1) + "\n")
