"""Goldens for packages/circuits: latent effects, edges and ablations of a small Llama, by PyTorch's autograd in f64.

  python oracles/circuits/make.py --models packages/models/src/__fixtures__/families --out packages/circuits/src/__fixtures__

transformers' Llama with a JumpReLU, a TopK and a JumpReLU SAE of random weights at three sites, written from the formulas of Marks et
al. (2403.19647): x = decode(f) + error, gradients past a site as if nothing were there, effect = gradient * (patch - clean). Written as
golden.safetensors (f32):

  clean, corrupt                  tokens [2, 6]; they differ at position 2
  target, contrast                one token for each row
  sae.N.*                         encoder [latents, d], decoder, encoder_bias, decoder_bias, threshold (JumpReLU)
  clean_metric, corrupt_metric    [row]
  effect.N, error.N               IE_atp at the clean values, [row, pos, latent] and [row, pos]
  integrated.N, integrated_error.N    the gradient's mean at the middles of 5 steps from clean to corrupt, site by site
  circuit.N, circuit_error.N      a circuit, 1 for nodes in it, [pos, latent] and [pos]
  empty, inside, outside          the metric with all nodes, all but the circuit, and the circuit at their means over both prompts' positions
  edges.to                        [n, 3]: site, latent (-1 for the error) and position that edges go to
  edges.N                         from each node of site N to each of those, [n, pos, latent]; edges_error.N likewise, [n, pos];
                                  means over rows, 0 from sites that are not before
  metric.N, metric_error.N        from each node straight to the metric, [pos, latent] and [pos]

Seed: 17. Needs torch, transformers, safetensors; the versions used are in versions.txt.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
LATENTS, K, STEPS = 10, 4, 5


class Sae:
    def __init__(self, width, kind, generator):
        draw = lambda *shape, scale: (torch.randn(*shape, generator=generator) * scale).float().double()
        self.kind = kind
        self.encoder, self.decoder = draw(LATENTS, width, scale=0.4), draw(LATENTS, width, scale=0.4)
        self.encoder_bias, self.decoder_bias = draw(LATENTS, scale=0.1), draw(width, scale=0.1)
        self.threshold = draw(LATENTS, scale=0.1).abs().float().double()

    def encode(self, x):
        pre = x @ self.encoder.T + self.encoder_bias
        if self.kind == "jumprelu":
            return torch.where(pre > self.threshold, pre, 0.0).relu()
        kept = torch.zeros_like(pre).scatter(-1, pre.topk(K, dim=-1).indices, 1.0)
        return pre.relu() * kept

    def decode(self, f):
        return f @ self.decoder + self.decoder_bias


class Spliced:
    """The model with a function at each site: (x, site index) -> what goes on."""

    def __init__(self, model):
        self.model = model
        first, second = model.model.layers
        self.modules = [first, second.mlp, second]

    def run(self, tokens, at):
        hooks = []
        for index, module in enumerate(self.modules):

            def hook(_, __, output, index=index):
                x = output[0] if isinstance(output, tuple) else output
                new = at(x, index)
                return (new, *output[1:]) if isinstance(output, tuple) else new

            hooks.append(module.register_forward_hook(hook))
        try:
            return self.model(tokens, use_cache=False).logits
        finally:
            for one in hooks:
                one.remove()


def golden(model):
    generator = torch.Generator().manual_seed(17)
    vocabulary, width = model.config.vocab_size, model.config.hidden_size
    clean = torch.randint(0, vocabulary, (2, 6), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 2] = (corrupt[:, 2] + 17) % vocabulary
    target, contrast = torch.tensor([4, 9]), torch.tensor([11, 2])
    rows = torch.arange(2)
    saes = [Sae(width, kind, generator) for kind in ("jumprelu", "topk", "jumprelu")]
    spliced = Spliced(model)
    sites = range(len(saes))
    metric = lambda logits: logits[rows, -1, target] - logits[rows, -1, contrast]

    def nodes(tokens):
        found = {}

        def at(x, index):
            f = saes[index].encode(x)
            found[index] = (f.detach(), (x - saes[index].decode(f)).detach())
            return x

        with torch.no_grad():
            logits = spliced.run(tokens, at)
        return found, metric(logits)

    values, clean_metric = nodes(clean)
    patched, corrupt_metric = nodes(corrupt)
    out = {
        "clean": clean.to(torch.int32),
        "corrupt": corrupt.to(torch.int32),
        "target": target.to(torch.int32),
        "contrast": contrast.to(torch.int32),
        "clean_metric": clean_metric,
        "corrupt_metric": corrupt_metric,
    }
    for n, sae in enumerate(saes):
        for name in ("encoder", "decoder", "encoder_bias", "decoder_bias"):
            out[f"sae.{n}.{name}"] = getattr(sae, name)
        if sae.kind == "jumprelu":
            out[f"sae.{n}.threshold"] = sae.threshold
    difference = {n: tuple(p - c for p, c in zip(patched[n], values[n])) for n in sites}

    # Effects: leaves at every site, and x - x.detach(), which is 0, for gradients that go past.
    leaves = {n: tuple(v.clone().requires_grad_() for v in values[n]) for n in sites}
    metric(
        spliced.run(clean, lambda x, n: saes[n].decode(leaves[n][0]) + leaves[n][1] + (x - x.detach()))
    ).sum().backward()
    gradients = {n: tuple(leaf.grad for leaf in leaves[n]) for n in sites}
    for n in sites:
        out[f"effect.{n}"] = gradients[n][0] * difference[n][0]
        out[f"error.{n}"] = (gradients[n][1] * difference[n][1]).sum(-1)

    for site in sites:
        total = [0, 0]
        for step in range(STEPS):
            alpha = (step + 0.5) / STEPS
            f, error = ((v + alpha * d).requires_grad_() for v, d in zip(values[site], difference[site]))
            metric(
                spliced.run(clean, lambda x, n: saes[n].decode(f) + error if n == site else x)
            ).sum().backward()
            total = [total[0] + f.grad / STEPS, total[1] + error.grad / STEPS]
        out[f"integrated.{site}"] = total[0] * difference[site][0]
        out[f"integrated_error.{site}"] = (total[1] * difference[site][1]).sum(-1)

    # Ablation to means over all rows and positions of clean and corrupt prompts.
    means = {n: tuple(torch.cat([a, b]).mean((0, 1)) for a, b in zip(values[n], patched[n])) for n in sites}
    kept = {
        n: (
            (torch.rand(6, LATENTS, generator=generator) < 0.5).double(),
            (torch.rand(6, generator=generator) < 0.5).double(),
        )
        for n in sites
    }

    def ablated(masks):
        def at(x, n):
            f = saes[n].encode(x)
            error = x - saes[n].decode(f)
            in_latents, in_error = masks(n)
            f = in_latents * f + (1 - in_latents) * means[n][0]
            error = in_error[:, None] * error + (1 - in_error[:, None]) * means[n][1]
            return saes[n].decode(f) + error

        with torch.no_grad():
            return metric(spliced.run(clean, at))

    out["empty"] = ablated(lambda n: tuple(torch.zeros_like(k) for k in kept[n]))
    out["inside"] = ablated(lambda n: kept[n])
    out["outside"] = ablated(lambda n: tuple(1 - k for k in kept[n]))
    for n in sites:
        out[f"circuit.{n}"], out[f"circuit_error.{n}"] = kept[n]

    # Direct edges: each earlier site goes on with its leaves alone, so that nothing passes it.
    active = lambda n: (values[n][0][0].abs() > 0).nonzero()
    ends = []
    for n in (1, 2):
        found = active(n)
        for pick in (0, len(found) // 2, len(found) - 1):
            position, latent = found[pick].tolist()
            ends.append((n, latent, position))
        ends.append((n, -1, 5))
    out["edges.to"] = torch.tensor(ends, dtype=torch.int32)

    def direct(upto, loss):
        leaves = {n: tuple(v.clone().requires_grad_() for v in values[n]) for n in sites if n < upto}
        seen = {}

        def at(x, n):
            seen[n] = x
            return saes[n].decode(leaves[n][0]) + leaves[n][1] if n in leaves else x

        logits = spliced.run(clean, at)
        loss(logits, seen).backward()
        zeros = lambda like: torch.zeros_like(like)
        products = {
            n: tuple(
                (leaf.grad if leaf.grad is not None else zeros(leaf)) * d
                for leaf, d in zip(leaves[n], difference[n])
            )
            for n in leaves
        }
        return {n: (a.mean(0), b.sum(-1).mean(0)) for n, (a, b) in products.items()}

    nothing = (torch.zeros(6, LATENTS), torch.zeros(6))
    edges = {n: ([], []) for n in sites}
    for site, latent, position in ends:

        def loss(_, seen):
            f = saes[site].encode(seen[site])
            if latent >= 0:
                return (gradients[site][0][:, position, latent] * f[:, position, latent]).sum()
            error = seen[site] - saes[site].decode(f)
            return (gradients[site][1][:, position] * error[:, position]).sum()

        found = direct(site, loss)
        for n in sites:
            for part, value in zip(edges[n], found.get(n, nothing)):
                part.append(value)
    straight = direct(len(saes), lambda logits, _: metric(logits).sum())
    for n in sites:
        out[f"edges.{n}"], out[f"edges_error.{n}"] = (torch.stack(part) for part in edges[n])
        out[f"metric.{n}"], out[f"metric_error.{n}"] = straight[n]
    return {
        key: (value if value.dtype == torch.int32 else value.detach().float()).contiguous()
        for key, value in out.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(args.models / "llama", attn_implementation="eager").double().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(golden(model), args.out / "golden.safetensors")
    names = ("torch", "transformers", "safetensors", "numpy")
    text = "".join(f"{name}=={version(name)}\n" for name in names)
    Path(__file__).with_name("versions.txt").write_text(text)


main()
